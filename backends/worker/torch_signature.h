// Which input of the model's configuration is which argument of the TorchScript method.
//
// The rules are Triton's: inputs named as the method's arguments go by name; inputs named
// NAME__INDEX go to the argument at INDEX; any other names go in the order of the configuration. An
// argument without an input gets its default. Immutable after Make, so any thread may use it.
#pragma once

#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "backends/worker/executor.h"
#include "backends/worker/torch_parameters.h"

namespace tandem::worker {

// The INDEX of a name NAME__INDEX; empty for other names.
std::optional<size_t> ConventionalIndex(absl::string_view name);

class ArgumentBinding {
 public:
  // Without inputs in the configuration, each parameter is an input named INPUT__INDEX.
  // INVALID_ARGUMENT where inputs and parameters do not fit, saying how.
  static absl::StatusOr<ArgumentBinding> Make(std::vector<Parameter> parameters,
                                              std::vector<TensorSpec> inputs);

  // The inputs that Arguments takes, in its order.
  const std::vector<TensorSpec>& inputs() const { return inputs_; }
  // No input becomes a scalar or a string.
  bool takes_tensors_alone() const;

  // The method's arguments, without `self`. INVALID_ARGUMENT, naming the input, where one does not
  // fit.
  absl::StatusOr<std::vector<c10::IValue>> Arguments(absl::Span<const InputTensor> inputs,
                                                     c10::Device device) const;

 private:
  ArgumentBinding() = default;

  absl::Status BindByRules();
  // Of inputs that go by their order: none may be named as an argument at another place.
  absl::Status CheckOrder() const;
  absl::Status CheckTypes() const;
  absl::Status CheckAllGiven() const;
  // The list or the dict of all inputs.
  absl::StatusOr<c10::IValue> Collection(absl::Span<const InputTensor> inputs,
                                         c10::Device device) const;

  std::vector<Parameter> parameters_;
  std::vector<TensorSpec> inputs_;
  // The index of the parameter that each input goes to. Empty where one collection takes them all.
  std::vector<size_t> parameter_of_input_;
  // The index of that collection.
  std::optional<size_t> collection_;
};

}  // namespace tandem::worker
