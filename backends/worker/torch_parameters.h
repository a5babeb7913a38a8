// What a TorchScript method takes, read from its schema.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace tandem::worker {

enum class ParameterKind {
  kTensor,
  // One-element tensors become these.
  kInt,
  kFloat,
  kBool,
  kString,
  // TorchScript's `number`: int or float, as the tensor is.
  kNumber,
  // One-dimensional tensors become these.
  kIntList,
  kFloatList,
  kBoolList,
  kStringList,
  // Such a parameter takes all inputs: in order, or by name.
  kTensorList,
  kTensorDict,
  // Only its default can be passed.
  kUnsupported,
};

struct Parameter {
  std::string name;
  ParameterKind kind = ParameterKind::kUnsupported;
  // As TorchScript writes it, for messages: "Optional[Tensor]".
  std::string type;
  // Passed where no input is: the schema's default, or None where the type allows it. Empty: an
  // input is needed.
  std::optional<c10::IValue> default_value;
};

// The method's parameters, without `self`.
std::vector<Parameter> ReadParameters(const c10::FunctionSchema& schema);

// How the model's signature describes the parameter where no configuration does.
TensorSpec DescribeParameter(const Parameter& parameter, size_t index);

// True where a tensor of that type can become the parameter. kInvalid (any type): true.
bool CanTake(ParameterKind kind, DataType type);

// How the signature describes what the method returns: one entry for each value, flattened, named
// OUTPUT__0, …. Empty where the schema does not tell how many there are.
std::vector<TensorSpec> DescribeReturns(const c10::FunctionSchema& schema);

}  // namespace tandem::worker
