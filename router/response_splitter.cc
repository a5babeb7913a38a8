#include "router/response_splitter.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/shape.h"

namespace tandem {
namespace {

absl::Status Broken(const ModelConfig& config, const std::string& output, const std::string& what) {
  return absl::InternalError(
      absl::StrCat("model \"", config.name, "\", output \"", output, "\": ", what));
}

const TensorSpec* FindSpec(const ModelConfig& config, const std::string& name) {
  for (const TensorSpec& spec : config.outputs) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

absl::Status CheckOutput(const ModelConfig& config, const Tensor& output, int64_t rows) {
  const bool batched = config.max_batch_size > 0;
  if (batched && (output.shape.empty() || output.shape[0] != rows)) {
    return Broken(config, output.name,
                  absl::StrCat("expected ", rows, " rows for a batch of ", rows, ", got shape ",
                               ShapeToString(output.shape)));
  }
  const TensorSpec* spec = FindSpec(config, output.name);
  if (spec == nullptr) return absl::OkStatus();
  if (spec->type != DataType::kInvalid && spec->type != output.type) {
    return Broken(config, output.name,
                  absl::StrCat("expected data type ", std::string(DataTypeName(spec->type)),
                               ", got ", std::string(DataTypeName(output.type))));
  }
  if (spec->any_shape) return absl::OkStatus();
  const size_t skip = batched ? 1 : 0;
  bool fits = output.shape.size() == spec->dims.size() + skip;
  for (size_t i = 0; fits && i < spec->dims.size(); ++i) {
    fits = spec->dims[i] < 0 || spec->dims[i] == output.shape[i + skip];
  }
  if (fits) return absl::OkStatus();
  Shape expected = spec->dims;
  if (batched) expected.insert(expected.begin(), -1);
  return Broken(config, output.name,
                absl::StrCat("expected shape ", ShapeToString(expected), ", got ",
                             ShapeToString(output.shape)));
}

// Cuts a tensor that lies in pieces into consecutive runs of bytes or strings.
class Cutter {
 public:
  explicit Cutter(const Tensor& tensor) : tensor_(tensor) {}

  // Moves the next `size` bytes to `pieces`. False where fewer are left.
  bool Bytes(size_t size, absl::InlinedVector<tandem::Bytes, 1>* pieces) {
    while (size > 0) {
      if (!SkipEmpty()) return false;
      const tandem::Bytes piece = tensor_.pieces[piece_];
      const size_t step = std::min(size, piece.size() - offset_);
      if (pieces != nullptr) pieces->push_back(piece.subspan(offset_, step));
      offset_ += step;
      size -= step;
    }
    return true;
  }

  // Moves the next `count` strings, with their lengths, to `pieces`.
  bool Strings(int64_t count, absl::InlinedVector<tandem::Bytes, 1>* pieces) {
    const Cutter start = *this;
    size_t total = 0;
    for (int64_t i = 0; i < count; ++i) {
      uint32_t length = 0;
      if (!ReadLength(&length) || !Bytes(length, nullptr)) return false;
      total += sizeof(length) + length;
    }
    Cutter again = start;
    return again.Bytes(total, pieces);
  }

 private:
  bool SkipEmpty() {
    while (piece_ < tensor_.pieces.size() && offset_ == tensor_.pieces[piece_].size()) {
      ++piece_;
      offset_ = 0;
    }
    return piece_ < tensor_.pieces.size();
  }

  bool ReadLength(uint32_t* length) {
    std::byte raw[sizeof(*length)];
    for (std::byte& byte : raw) {
      if (!SkipEmpty()) return false;
      byte = tensor_.pieces[piece_][offset_++];
    }
    std::memcpy(length, raw, sizeof(*length));
    return true;
  }

  const Tensor& tensor_;
  size_t piece_ = 0;
  size_t offset_ = 0;
};

// Adds each member's part of one output to its outputs.
absl::Status SplitOne(const ModelConfig& config, const ScheduledBatch& batch, const Tensor& output,
                      std::vector<std::vector<Tensor>>& split) {
  if (batch.members.size() == 1) {
    split[0].push_back(output);
    return absl::OkStatus();
  }
  absl::Span<const int64_t> row_shape(output.shape);
  row_shape.remove_prefix(1);
  const auto elements = ElementCount(row_shape);
  if (!elements.ok()) return Broken(config, output.name, std::string(elements.status().message()));
  Cutter cutter(output);
  for (size_t i = 0; i < batch.members.size(); ++i) {
    Tensor& part = split[i].emplace_back();
    part.name = output.name;
    part.type = output.type;
    part.shape = output.shape;
    part.shape[0] = batch.members[i]->rows;
    const int64_t count = *elements * batch.members[i]->rows;
    const bool whole =
        output.type == DataType::kBytes
            ? cutter.Strings(count, &part.pieces)
            : cutter.Bytes(static_cast<size_t>(count) * ElementSize(output.type), &part.pieces);
    if (!whole) {
      return Broken(config, output.name,
                    absl::StrCat("its shape ", ShapeToString(output.shape), " needs more than the ",
                                 output.byte_size(), " bytes that it has"));
    }
  }
  return absl::OkStatus();
}

// Brings a member's outputs into the order of `names` and drops the rest.
absl::Status Order(const ModelConfig& config, const std::vector<std::string>& names,
                   std::vector<Tensor>& outputs) {
  std::vector<Tensor> ordered;
  ordered.reserve(names.size());
  for (const std::string& name : names) {
    const auto found = std::find_if(outputs.begin(), outputs.end(),
                                    [&](const Tensor& output) { return output.name == name; });
    if (found == outputs.end()) return Broken(config, name, "the model did not return it");
    ordered.push_back(std::move(*found));
  }
  outputs = std::move(ordered);
  return absl::OkStatus();
}

// True where nothing is to be reordered, as where nobody told what the model gives.
bool InModelOrder(const ModelConfig& config, const std::vector<Tensor>& outputs) {
  if (config.outputs.empty()) return true;
  return std::equal(outputs.begin(), outputs.end(), config.outputs.begin(), config.outputs.end(),
                    [](const Tensor& a, const TensorSpec& b) { return a.name == b.name; });
}

}  // namespace

absl::StatusOr<std::vector<std::vector<Tensor>>> SplitOutputs(const ScheduledBatch& batch,
                                                              const BatchResult& result) {
  const ModelConfig& config = batch.members.front()->model->config;
  std::vector<std::vector<Tensor>> split(batch.members.size());
  for (std::vector<Tensor>& outputs : split) outputs.reserve(result.outputs.size());
  for (const Tensor& output : result.outputs) {
    absl::Status status = CheckOutput(config, output, batch.batch.rows);
    if (status.ok()) status = SplitOne(config, batch, output, split);
    if (!status.ok()) return status;
  }
  std::vector<std::string> model_order;
  if (!InModelOrder(config, result.outputs)) {
    for (const TensorSpec& spec : config.outputs) model_order.push_back(spec.name);
  }
  for (size_t i = 0; i < batch.members.size(); ++i) {
    const std::vector<std::string>& asked = batch.members[i]->request->requested_outputs;
    const std::vector<std::string>& names = asked.empty() ? model_order : asked;
    if (names.empty()) continue;
    if (absl::Status status = Order(config, names, split[i]); !status.ok()) return status;
  }
  return split;
}

}  // namespace tandem
