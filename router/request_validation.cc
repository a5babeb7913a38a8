#include "router/request_validation.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/shape.h"
#include "router/quoted.h"

namespace tandem {
namespace {

std::string NameList(const std::vector<TensorSpec>& specs) {
  if (specs.empty()) return "none";
  return absl::StrJoin(specs, ", ", [](std::string* out, const TensorSpec& spec) {
    absl::StrAppend(out, "\"", spec.name, "\"");
  });
}

// The shape that the model takes, with its batch dimension.
Shape ExpectedShape(const ModelConfig& config, const TensorSpec& spec) {
  Shape expected;
  if (config.max_batch_size > 0) expected.push_back(-1);
  expected.insert(expected.end(), spec.dims.begin(), spec.dims.end());
  return expected;
}

class InputCheck {
 public:
  InputCheck(const ModelConfig& config, const TensorSpec& spec, const Tensor& tensor)
      : config_(config), spec_(spec), tensor_(tensor) {}

  absl::Status Run() const {
    if (absl::Status status = CheckType(); !status.ok()) return status;
    if (absl::Status status = CheckShape(); !status.ok()) return status;
    if (absl::Status status = CheckRows(); !status.ok()) return status;
    return CheckSize();
  }

 private:
  absl::Status Refuse(const std::string& what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("model \"", config_.name, "\", input \"", spec_.name, "\": ", what));
  }

  absl::Status CheckType() const {
    if (tensor_.type == DataType::kInvalid) {
      return Refuse("it has no data type; give one, for example FP32");
    }
    if (spec_.type != DataType::kInvalid && spec_.type != tensor_.type) {
      return Refuse(absl::StrCat("expected data type ", std::string(DataTypeName(spec_.type)),
                                 ", got ", std::string(DataTypeName(tensor_.type))));
    }
    return absl::OkStatus();
  }

  absl::Status CheckShape() const {
    if (const auto count = ElementCount(tensor_.shape); !count.ok()) {
      return Refuse(std::string(count.status().message()));
    }
    if (spec_.any_shape) {
      if (config_.max_batch_size > 0 && tensor_.shape.empty()) {
        return Refuse("expected a batch dimension first, got a scalar; send the shape [1] or more");
      }
      return absl::OkStatus();
    }
    const Shape expected = ExpectedShape(config_, spec_);
    bool fits = expected.size() == tensor_.shape.size();
    for (size_t i = 0; fits && i < expected.size(); ++i) {
      fits = expected[i] < 0 || expected[i] == tensor_.shape[i];
    }
    if (fits) return absl::OkStatus();
    std::string hint;
    if (config_.max_batch_size > 0 && expected.size() == tensor_.shape.size() + 1) {
      hint = "; the batch dimension comes first";
    }
    return Refuse(absl::StrCat("expected shape ", ShapeToString(expected), ", got ",
                               ShapeToString(tensor_.shape), hint));
  }

  absl::Status CheckRows() const {
    if (config_.max_batch_size == 0) return absl::OkStatus();
    const int64_t rows = tensor_.shape[0];
    if (rows == 0) {
      return Refuse(absl::StrCat("the batch in shape ", ShapeToString(tensor_.shape),
                                 " has no rows; send at least one"));
    }
    if (rows > config_.max_batch_size) {
      return Refuse(absl::StrCat("expected at most ", config_.max_batch_size,
                                 " rows (max_batch_size), got ", rows,
                                 "; send it in several requests"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckSize() const {
    if (tensor_.type == DataType::kBytes) {
      const auto count = ElementCount(tensor_.shape);
      const absl::Status status = CheckStrings(tensor_.pieces, *count);
      return status.ok() ? status : Refuse(std::string(status.message()));
    }
    const auto expected = ByteSize(tensor_.type, tensor_.shape);
    if (!expected.ok()) return Refuse(std::string(expected.status().message()));
    if (*expected != tensor_.byte_size()) {
      return Refuse(absl::StrCat("expected ", *expected, " bytes for ",
                                 std::string(DataTypeName(tensor_.type)), " ",
                                 ShapeToString(tensor_.shape), ", got ", tensor_.byte_size()));
    }
    return absl::OkStatus();
  }

  const ModelConfig& config_;
  const TensorSpec& spec_;
  const Tensor& tensor_;
};

absl::Status CheckOutputNames(const ModelConfig& config, const std::vector<std::string>& names) {
  // A model whose outputs nobody knows yet is checked when it has answered.
  if (config.outputs.empty()) return absl::OkStatus();
  if (names.size() > config.outputs.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model \"", config.name, "\": the request asks for ", names.size(),
        " outputs, the model has ", config.outputs.size(), ": ", NameList(config.outputs)));
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const auto known = [&](const TensorSpec& spec) { return spec.name == names[i]; };
    if (std::none_of(config.outputs.begin(), config.outputs.end(), known)) {
      return absl::InvalidArgumentError(
          absl::StrCat("model \"", config.name, "\" has no output ", Quoted(names[i]),
                       "; its outputs are: ", NameList(config.outputs)));
    }
    if (std::find(names.begin(), names.begin() + i, names[i]) != names.begin() + i) {
      return absl::InvalidArgumentError(absl::StrCat("model \"", config.name, "\", output ",
                                                     Quoted(names[i]),
                                                     ": the request asks for it twice"));
    }
  }
  return absl::OkStatus();
}

// Moves each input of the request to its place in the model's order.
absl::Status Arrange(const ModelConfig& config, std::vector<Tensor>& inputs,
                     std::vector<Tensor>& arranged) {
  std::vector<bool> given(config.inputs.size());
  arranged.resize(config.inputs.size());
  for (Tensor& input : inputs) {
    const auto spec = std::find_if(config.inputs.begin(), config.inputs.end(),
                                   [&](const TensorSpec& s) { return s.name == input.name; });
    if (spec == config.inputs.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("model \"", config.name, "\" has no input ", Quoted(input.name),
                       "; its inputs are: ", NameList(config.inputs)));
    }
    const size_t index = static_cast<size_t>(spec - config.inputs.begin());
    if (given[index]) {
      return absl::InvalidArgumentError(absl::StrCat("model \"", config.name, "\", input ",
                                                     Quoted(input.name),
                                                     ": the request holds it twice"));
    }
    given[index] = true;
    arranged[index] = std::move(input);
  }
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] || config.inputs[i].optional) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("model \"", config.name, "\", input \"", config.inputs[i].name,
                     "\": it is missing; the model's inputs are: ", NameList(config.inputs)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckedInputs> CheckRequest(const ModelVersion& model, InferRequest& request) {
  const ModelConfig& config = model.config;
  CheckedInputs checked;
  if (absl::Status status = CheckOutputNames(config, request.requested_outputs); !status.ok()) {
    return status;
  }
  if (absl::Status status = Arrange(config, request.inputs, checked.tensors); !status.ok()) {
    return status;
  }
  request.inputs.clear();
  const Tensor* first = nullptr;
  for (size_t i = 0; i < checked.tensors.size(); ++i) {
    const Tensor& tensor = checked.tensors[i];
    const TensorSpec& spec = config.inputs[i];
    // A left-out input keeps the empty name of a fresh Tensor; a given one has its spec's.
    if (tensor.name != spec.name || (spec.name.empty() && tensor.type == DataType::kInvalid)) {
      continue;
    }
    if (absl::Status status = InputCheck(config, spec, tensor).Run(); !status.ok()) return status;
    checked.bytes += tensor.byte_size();
    if (config.max_batch_size == 0) continue;
    if (first == nullptr) {
      first = &tensor;
      checked.rows = tensor.shape[0];
    } else if (tensor.shape[0] != checked.rows) {
      return absl::InvalidArgumentError(
          absl::StrCat("model \"", config.name, "\", input \"", tensor.name, "\": expected ",
                       checked.rows, " rows as in input \"", first->name, "\", got ",
                       tensor.shape[0], "; all inputs of a request have the same batch dimension"));
    }
  }
  return checked;
}

}  // namespace tandem
