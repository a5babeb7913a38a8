#include "backends/worker/torch_parameters.h"

#include <ATen/core/jit_type.h>

#include "absl/strings/str_cat.h"

namespace tandem::worker {
namespace {

ParameterKind ListKind(const c10::TypePtr& element) {
  switch (element->kind()) {
    case c10::TypeKind::TensorType:
      return ParameterKind::kTensorList;
    case c10::TypeKind::IntType:
      return ParameterKind::kIntList;
    case c10::TypeKind::FloatType:
      return ParameterKind::kFloatList;
    case c10::TypeKind::BoolType:
      return ParameterKind::kBoolList;
    case c10::TypeKind::StringType:
      return ParameterKind::kStringList;
    default:
      return ParameterKind::kUnsupported;
  }
}

ParameterKind KindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
      return ParameterKind::kTensor;
    case c10::TypeKind::IntType:
      return ParameterKind::kInt;
    case c10::TypeKind::FloatType:
      return ParameterKind::kFloat;
    case c10::TypeKind::BoolType:
      return ParameterKind::kBool;
    case c10::TypeKind::StringType:
      return ParameterKind::kString;
    case c10::TypeKind::NumberType:
      return ParameterKind::kNumber;
    case c10::TypeKind::ListType:
      return ListKind(type->expectRef<c10::ListType>().getElementType());
    case c10::TypeKind::DictType: {
      const auto& dict = type->expectRef<c10::DictType>();
      const bool tensors_by_name = dict.getKeyType()->kind() == c10::TypeKind::StringType &&
                                   dict.getValueType()->kind() == c10::TypeKind::TensorType;
      return tensors_by_name ? ParameterKind::kTensorDict : ParameterKind::kUnsupported;
    }
    case c10::TypeKind::OptionalType:
      return KindOf(type->expectRef<c10::OptionalType>().getElementType());
    default:
      return ParameterKind::kUnsupported;
  }
}

DataType NaturalType(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::kInt:
    case ParameterKind::kIntList:
      return DataType::kInt64;
    case ParameterKind::kFloat:
    case ParameterKind::kFloatList:
      return DataType::kFp64;
    case ParameterKind::kBool:
    case ParameterKind::kBoolList:
      return DataType::kBool;
    case ParameterKind::kString:
    case ParameterKind::kStringList:
      return DataType::kBytes;
    default:
      return DataType::kInvalid;
  }
}

// Fills in type and dimensions as the kind tells them.
TensorSpec Describe(ParameterKind kind, std::string name) {
  TensorSpec spec{.name = std::move(name), .type = NaturalType(kind), .dims = {}};
  switch (kind) {
    case ParameterKind::kInt:
    case ParameterKind::kFloat:
    case ParameterKind::kBool:
    case ParameterKind::kString:
    case ParameterKind::kNumber:
      spec.dims = {1};
      break;
    case ParameterKind::kIntList:
    case ParameterKind::kFloatList:
    case ParameterKind::kBoolList:
    case ParameterKind::kStringList:
      spec.dims = {-1};
      break;
    default:
      spec.any_shape = true;
  }
  return spec;
}

// Adds the kinds of the values in `type`. False where their number is not fixed.
bool Flatten(const c10::TypePtr& type, std::vector<ParameterKind>& kinds) {
  if (type->kind() == c10::TypeKind::TupleType) {
    for (const c10::TypePtr& element : type->expectRef<c10::TupleType>().elements()) {
      if (!Flatten(element, kinds)) return false;
    }
    return true;
  }
  const ParameterKind kind = KindOf(type);
  kinds.push_back(kind);
  return kind != ParameterKind::kTensorList && kind != ParameterKind::kTensorDict &&
         kind != ParameterKind::kUnsupported && type->kind() != c10::TypeKind::OptionalType;
}

}  // namespace

std::vector<Parameter> ReadParameters(const c10::FunctionSchema& schema) {
  std::vector<Parameter> parameters;
  const std::vector<c10::Argument>& arguments = schema.arguments();
  for (size_t i = 1; i < arguments.size(); ++i) {
    const c10::Argument& argument = arguments[i];
    Parameter parameter{.name = argument.name(),
                        .kind = KindOf(argument.type()),
                        .type = argument.type()->annotation_str(),
                        .default_value = argument.default_value()};
    if (!parameter.default_value && argument.type()->kind() == c10::TypeKind::OptionalType) {
      parameter.default_value = c10::IValue();
    }
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

TensorSpec DescribeParameter(const Parameter& parameter, size_t index) {
  TensorSpec spec = Describe(parameter.kind, absl::StrCat("INPUT__", index));
  spec.optional = parameter.default_value.has_value();
  return spec;
}

bool CanTake(ParameterKind kind, DataType type) {
  if (type == DataType::kInvalid) return true;
  const bool strings = kind == ParameterKind::kString || kind == ParameterKind::kStringList;
  return strings == (type == DataType::kBytes);
}

std::vector<TensorSpec> DescribeReturns(const c10::FunctionSchema& schema) {
  std::vector<ParameterKind> kinds;
  for (const c10::Argument& result : schema.returns()) {
    if (!Flatten(result.type(), kinds)) return {};
  }
  std::vector<TensorSpec> specs;
  for (size_t i = 0; i < kinds.size(); ++i) {
    specs.push_back(Describe(kinds[i], absl::StrCat("OUTPUT__", i)));
  }
  return specs;
}

}  // namespace tandem::worker
