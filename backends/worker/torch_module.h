// A TorchScript model file, read and made ready to run.
#pragma once

#include <c10/core/Device.h>
#include <torch/csrc/jit/api/module.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tandem::worker {

struct LoadedModule {
  // In evaluation mode, frozen where that works.
  torch::jit::Module module;
  // Why it could not be frozen; empty where it is.
  std::string not_frozen;
};

// Reads the model from the open file, without moving the file's position, and puts it on the
// device. `method` is the method that will be called; freezing keeps it. `optimise`: rewrite it for
// the CPU, in operations of its own that autocast does not know. INVALID_ARGUMENT: not a
// TorchScript file, or no such method. RESOURCE_EXHAUSTED: no memory. Throws nothing.
absl::StatusOr<LoadedModule> LoadModule(int file, const std::string& method, c10::Device device,
                                        bool optimise);

}  // namespace tandem::worker
