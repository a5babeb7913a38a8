#include "client/signature.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tandem::client {
namespace {

// Elements of one row, where all dimensions behind the batch's are known; -1 where not.
int64_t RowElements(const TensorSpec& input) {
  int64_t count = 1;
  for (size_t i = 0; i < input.dims.size(); ++i) {
    if (input.dims[i] < 0 && i == 0) continue;
    if (input.dims[i] < 0 || __builtin_mul_overflow(count, input.dims[i], &count)) return -1;
  }
  return count;
}

bool HasBatch(const TensorSpec& input) { return !input.dims.empty() && input.dims[0] < 0; }

std::string NamesOf(const Signature& signature) {
  return absl::StrJoin(signature.inputs, ", ", [](std::string* out, const TensorSpec& input) {
    absl::StrAppend(out, "\"", input.name, "\"");
  });
}

}  // namespace

const TensorSpec* Signature::Find(const std::string& name, bool lone) const {
  if (inputs.size() == 1 && (lone || name.empty())) return &inputs[0];
  const auto found = std::find_if(inputs.begin(), inputs.end(),
                                  [&](const TensorSpec& input) { return input.name == name; });
  return found == inputs.end() ? nullptr : &*found;
}

absl::StatusOr<Signature> FetchSignature(InferenceClient& client, const std::string& model,
                                         const std::string& version) {
  const absl::StatusOr<inference::ModelMetadataResponse> metadata =
      client.ModelMetadata(model, version);
  if (!metadata.ok()) return metadata.status();
  Signature signature{model, {}};
  for (const auto& input : metadata->inputs()) {
    TensorSpec spec;
    spec.name = input.name();
    spec.type = ParseDataType(input.datatype());
    spec.dims.assign(input.shape().begin(), input.shape().end());
    spec.any_shape = spec.dims.empty();
    signature.inputs.push_back(std::move(spec));
  }
  return signature;
}

Fit FitOf(const Shape& shape, const TensorSpec& input, bool batch_by_default) {
  if (input.any_shape) return batch_by_default ? Fit::kAddBatch : Fit::kAsIs;
  if (shape.size() == input.dims.size()) return Fit::kAsIs;
  if (shape.size() + 1 == input.dims.size() && (HasBatch(input) || input.dims[0] == 1)) {
    return Fit::kAddBatch;
  }
  if (shape.size() == 1 && input.dims.size() > 1 && RowElements(input) == shape[0])
    return Fit::kReshape;
  return Fit::kAsIs;
}

Shape FittedShape(const Shape& shape, const TensorSpec& input, Fit fit) {
  Shape fitted = shape;
  if (fit == Fit::kAddBatch) fitted.insert(fitted.begin(), 1);
  if (fit == Fit::kReshape) {
    fitted = input.dims;
    if (HasBatch(input)) fitted[0] = 1;
  }
  return fitted;
}

DataType SentType(const Array& array, const TensorSpec& input) {
  if (input.type != DataType::kInvalid) return input.type;
  return array.from_text && array.type == DataType::kFp64 ? DataType::kFp32 : array.type;
}

absl::StatusOr<std::vector<Array>> FitInputs(const Signature& signature,
                                             std::vector<Array> inputs) {
  for (Array& array : inputs) {
    const TensorSpec* input = signature.Find(array.name, false);
    if (input == nullptr) {
      return absl::InvalidArgumentError(
          array.name.empty()
              ? absl::StrCat("model \"", signature.model, "\" has the inputs ", NamesOf(signature),
                             ": say which one is meant, as NAME=VALUE")
              : absl::StrCat("model \"", signature.model, "\" has no input \"", array.name,
                             "\"; it has ", NamesOf(signature)));
    }
    array.name = input->name;
    array.shape = FittedShape(array.shape, *input, FitOf(array.shape, *input, false));
    const DataType type = SentType(array, *input);
    absl::StatusOr<Array> converted = Convert(std::move(array), type);
    if (!converted.ok()) return converted.status();
    array = *std::move(converted);
  }
  return inputs;
}

}  // namespace tandem::client
