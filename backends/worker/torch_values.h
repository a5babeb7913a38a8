// An input's bytes as the value that a TorchScript method takes.
#pragma once

#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "backends/worker/executor.h"
#include "backends/worker/torch_parameters.h"

namespace tandem::worker {

// A tensor over the input's own bytes, moved to the device where that is not the CPU.
absl::StatusOr<at::Tensor> TensorOverInput(const InputTensor& input, absl::string_view name,
                                           c10::Device device);

// INVALID_ARGUMENT, naming the input, where it cannot become a value of that kind. `input` was not
// left out. One-element kinds also take several elements that are all equal: the rows of a batch.
absl::StatusOr<c10::IValue> ValueOfInput(const InputTensor& input, absl::string_view name,
                                         ParameterKind kind, c10::Device device);

}  // namespace tandem::worker
