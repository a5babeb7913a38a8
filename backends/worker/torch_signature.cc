#include "backends/worker/torch_signature.h"

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "backends/worker/torch_values.h"

namespace tandem::worker {
namespace {

bool IsCollection(ParameterKind kind) {
  return kind == ParameterKind::kTensorList || kind == ParameterKind::kTensorDict;
}

// "x: Tensor, sr: int".
std::string Describe(const std::vector<Parameter>& parameters) {
  std::string text;
  for (const Parameter& parameter : parameters) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", parameter.name, ": ", parameter.type);
  }
  return text.empty() ? "no arguments" : absl::StrCat("(", text, ")");
}

std::optional<size_t> FindByName(const std::vector<Parameter>& parameters, absl::string_view name) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].name == name) return i;
  }
  return std::nullopt;
}

}  // namespace

std::optional<size_t> ConventionalIndex(absl::string_view name) {
  const size_t mark = name.rfind("__");
  if (mark == absl::string_view::npos) return std::nullopt;
  const absl::string_view digits = name.substr(mark + 2);
  uint32_t index = 0;
  const bool all_digits = std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit);
  if (digits.empty() || !all_digits || !absl::SimpleAtoi(digits, &index)) return std::nullopt;
  return index;
}

absl::StatusOr<ArgumentBinding> ArgumentBinding::Make(std::vector<Parameter> parameters,
                                                      std::vector<TensorSpec> inputs) {
  ArgumentBinding binding;
  binding.parameters_ = std::move(parameters);
  binding.inputs_ = std::move(inputs);
  for (size_t i = 0; i < binding.parameters_.size(); ++i) {
    if (IsCollection(binding.parameters_[i].kind)) binding.collection_ = i;
  }
  absl::Status status;
  if (binding.collection_) {
    if (binding.inputs_.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the method takes ", Describe(binding.parameters_),
                       "; give the model a config.pbtxt that names the inputs of the collection"));
    }
  } else if (binding.inputs_.empty()) {
    for (size_t i = 0; i < binding.parameters_.size(); ++i) {
      const Parameter& parameter = binding.parameters_[i];
      if (parameter.kind == ParameterKind::kUnsupported && parameter.default_value) continue;
      binding.inputs_.push_back(DescribeParameter(parameter, i));
      binding.parameter_of_input_.push_back(i);
    }
  } else {
    status = binding.BindByRules();
  }
  if (status.ok()) status = binding.CheckTypes();
  if (status.ok()) status = binding.CheckAllGiven();
  if (!status.ok()) return status;
  return binding;
}

absl::Status ArgumentBinding::BindByRules() {
  std::vector<size_t> by_name, by_index, by_order;
  for (const TensorSpec& input : inputs_) {
    if (const auto index = FindByName(parameters_, input.name)) by_name.push_back(*index);
    if (const auto index = ConventionalIndex(input.name)) by_index.push_back(*index);
    by_order.push_back(by_order.size());
  }
  if (by_name.size() == inputs_.size()) {
    parameter_of_input_ = by_name;
  } else if (by_index.size() == inputs_.size()) {
    parameter_of_input_ = by_index;
  } else {
    parameter_of_input_ = by_order;
    if (absl::Status order = CheckOrder(); !order.ok()) return order;
  }
  std::vector<bool> taken(parameters_.size(), false);
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const size_t index = parameter_of_input_[i];
    if (index >= parameters_.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the configured input \"", inputs_[i].name, "\" is argument ", index,
                       ", but the method takes ", Describe(parameters_)));
    }
    if (taken[index]) {
      return absl::InvalidArgumentError(absl::StrCat("the configured input \"", inputs_[i].name,
                                                     "\" and another one both name the argument ",
                                                     parameters_[index].name));
    }
    taken[index] = true;
  }
  return absl::OkStatus();
}

bool ArgumentBinding::takes_tensors_alone() const {
  return std::all_of(parameter_of_input_.begin(), parameter_of_input_.end(), [this](size_t index) {
    return parameters_[index].kind == ParameterKind::kTensor;
  });
}

absl::Status ArgumentBinding::CheckOrder() const {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const std::optional<size_t> named = FindByName(parameters_, inputs_[i].name);
    if (!named || *named == i) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the configured input \"", inputs_[i].name, "\" has the name of argument ",
                     *named, " and the place of argument ", i,
                     ", since not all inputs are named as arguments; the "
                     "method takes ",
                     Describe(parameters_)));
  }
  return absl::OkStatus();
}

absl::Status ArgumentBinding::CheckTypes() const {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Parameter& parameter = parameters_[collection_ ? *collection_ : parameter_of_input_[i]];
    if (parameter.kind == ParameterKind::kUnsupported) {
      return absl::InvalidArgumentError(absl::StrCat("the argument ", parameter.name,
                                                     " has the type ", parameter.type,
                                                     ", which no input tensor can become"));
    }
    if (!CanTake(parameter.kind, inputs_[i].type)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the input \"", inputs_[i].name, "\" is configured as ",
                       std::string(DataTypeName(inputs_[i].type)), ", but the argument ",
                       parameter.name, " has the type ", parameter.type));
    }
  }
  return absl::OkStatus();
}

absl::Status ArgumentBinding::CheckAllGiven() const {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const bool bound = collection_ == i ||
                       std::count(parameter_of_input_.begin(), parameter_of_input_.end(), i) > 0;
    if (bound || parameters_[i].default_value) continue;
    return absl::InvalidArgumentError(absl::StrCat("no input is configured for the argument ",
                                                   parameters_[i].name, "; the method takes ",
                                                   Describe(parameters_)));
  }
  return absl::OkStatus();
}

absl::StatusOr<c10::IValue> ArgumentBinding::Collection(absl::Span<const InputTensor> inputs,
                                                        c10::Device device) const {
  c10::List<at::Tensor> list;
  c10::Dict<std::string, at::Tensor> dict;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].type == DataType::kInvalid) continue;
    const absl::StatusOr<at::Tensor> tensor = TensorOverInput(inputs[i], inputs_[i].name, device);
    if (!tensor.ok()) return tensor.status();
    list.push_back(*tensor);
    dict.insert(inputs_[i].name, *tensor);
  }
  if (parameters_[*collection_].kind == ParameterKind::kTensorList) return c10::IValue(list);
  return c10::IValue(dict);
}

absl::StatusOr<std::vector<c10::IValue>> ArgumentBinding::Arguments(
    absl::Span<const InputTensor> inputs, c10::Device device) const {
  if (inputs.size() != inputs_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model takes ", inputs_.size(), " inputs, but ", inputs.size(), " came"));
  }
  std::vector<c10::IValue> arguments;
  // Room for `self`, which the caller puts in front.
  arguments.reserve(parameters_.size() + 1);
  for (const Parameter& parameter : parameters_) {
    arguments.push_back(parameter.default_value.value_or(c10::IValue()));
  }
  if (collection_) {
    absl::StatusOr<c10::IValue> collection = Collection(inputs, device);
    if (!collection.ok()) return collection.status();
    arguments[*collection_] = *std::move(collection);
    return arguments;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Parameter& parameter = parameters_[parameter_of_input_[i]];
    if (inputs[i].type == DataType::kInvalid) {
      if (parameter.default_value) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "input \"", inputs_[i].name, "\" is missing; the model has no default for it"));
    }
    absl::StatusOr<c10::IValue> value =
        ValueOfInput(inputs[i], inputs_[i].name, parameter.kind, device);
    if (!value.ok()) return value.status();
    arguments[parameter_of_input_[i]] = *std::move(value);
  }
  return arguments;
}

}  // namespace tandem::worker
