#include "backends/worker/halving_executor.h"

#include <algorithm>
#include <optional>

namespace tandem::worker {
namespace {

// Passes outputs on, and knows whether it was asked to: room can be asked for once a run.
class WatchedSink : public OutputSink {
 public:
  explicit WatchedSink(OutputSink& sink) : sink_(sink) {}

  absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> outputs) override {
    asked_ = true;
    return sink_.Allocate(std::move(outputs));
  }
  bool asked() const { return asked_; }

 private:
  OutputSink& sink_;
  bool asked_ = false;
};

// The outputs of one part, in memory of their own.
class PartSink : public OutputSink {
 public:
  absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> outputs) override {
    tensors = std::move(outputs);
    std::vector<std::byte*> places;
    for (const OutputTensor& output : tensors) {
      places.push_back(bytes.emplace_back(output.bytes).data());
    }
    return places;
  }

  std::vector<OutputTensor> tensors;
  std::vector<std::vector<std::byte>> bytes;
};

// Empty where the batch cannot be parted.
std::optional<int64_t> Rows(absl::Span<const InputTensor> inputs) {
  std::optional<int64_t> rows;
  for (const InputTensor& input : inputs) {
    if (input.type == DataType::kInvalid) continue;
    if (input.type == DataType::kBytes || input.shape.empty()) return std::nullopt;
    if (rows.has_value() && input.shape[0] != *rows) return std::nullopt;
    rows = input.shape[0];
  }
  return rows;
}

// `count` rows of the batch, from `first` on, where they lie.
std::vector<InputTensor> RowsOf(absl::Span<const InputTensor> inputs, int64_t first, int64_t count,
                                int64_t rows) {
  std::vector<InputTensor> part(inputs.begin(), inputs.end());
  for (InputTensor& input : part) {
    if (input.type == DataType::kInvalid) continue;
    const size_t row_bytes = input.bytes / static_cast<size_t>(rows);
    input.shape[0] = count;
    input.data += static_cast<size_t>(first) * row_bytes;
    input.bytes = static_cast<size_t>(count) * row_bytes;
  }
  return part;
}

// A part's outputs have its rows first, and are else as those of the first part.
bool FitTogether(const std::vector<OutputTensor>& first, int64_t first_rows,
                 const std::vector<OutputTensor>& second, int64_t second_rows) {
  return std::equal(
      first.begin(), first.end(), second.begin(), second.end(),
      [&](const OutputTensor& a, const OutputTensor& b) {
        return a.name == b.name && a.type == b.type && !a.shape.empty() && !b.shape.empty() &&
               a.shape[0] == first_rows && b.shape[0] == second_rows &&
               std::equal(a.shape.begin() + 1, a.shape.end(), b.shape.begin() + 1, b.shape.end());
      });
}

// Puts the outputs of both halves, one behind the other, into the sink. Empty: they do not fit.
std::optional<absl::Status> Join(const PartSink& first, int64_t first_rows, const PartSink& second,
                                 int64_t second_rows, OutputSink& sink) {
  if (!FitTogether(first.tensors, first_rows, second.tensors, second_rows)) return std::nullopt;
  std::vector<OutputTensor> joined = first.tensors;
  for (size_t i = 0; i < joined.size(); ++i) {
    joined[i].shape[0] = first_rows + second_rows;
    joined[i].bytes = first.bytes[i].size() + second.bytes[i].size();
  }
  const absl::StatusOr<std::vector<std::byte*>> places = sink.Allocate(std::move(joined));
  if (!places.ok()) return places.status();
  for (size_t i = 0; i < places->size(); ++i) {
    std::byte* const middle = std::copy(first.bytes[i].begin(), first.bytes[i].end(), (*places)[i]);
    std::copy(second.bytes[i].begin(), second.bytes[i].end(), middle);
  }
  return absl::OkStatus();
}

absl::Status RunInParts(Executor& executor, uint32_t lane, absl::Span<const InputTensor> inputs,
                        OutputSink& sink) {
  WatchedSink watched(sink);
  const absl::Status whole = executor.Run(lane, inputs, watched);
  // Without room for the outputs, their halves find none either.
  if (!absl::IsResourceExhausted(whole) || watched.asked()) return whole;
  const std::optional<int64_t> rows = Rows(inputs);
  if (!rows.has_value() || *rows < 2) return whole;
  sink.NoteParts();
  const int64_t half = *rows / 2;
  PartSink first;
  absl::Status status = RunInParts(executor, lane, RowsOf(inputs, 0, half, *rows), first);
  if (!status.ok()) return status;
  PartSink second;
  status = RunInParts(executor, lane, RowsOf(inputs, half, *rows - half, *rows), second);
  if (!status.ok()) return status;
  return Join(first, half, second, *rows - half, sink).value_or(whole);
}

}  // namespace

absl::Status HalvingExecutor::Run(uint32_t lane, absl::Span<const InputTensor> inputs,
                                  OutputSink& sink) {
  return RunInParts(*whole_, lane, inputs, sink);
}

}  // namespace tandem::worker
