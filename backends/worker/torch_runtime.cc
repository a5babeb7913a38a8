#include "backends/worker/torch_runtime.h"

#include <ATen/Parallel.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/headeronly/version.h>

#include <cstdlib>

#include "backends/worker/torch_compiled_executor.h"
#include "backends/worker/torch_executor.h"

namespace tandem::worker {

absl::StatusOr<std::unique_ptr<Executor>> TorchRuntime::Load(const ModelSpec& model) {
  return TorchExecutor::Load(model, *device_);
}

absl::StatusOr<std::unique_ptr<Executor>> TorchCompiledRuntime::Load(const ModelSpec& model) {
  return TorchCompiledExecutor::Load(model, *device_);
}

void AddTorchRuntimes(std::shared_ptr<TorchDevice> device, Runtimes& runtimes) {
  runtimes.by_platform[kTorchPlatform] = std::make_unique<TorchRuntime>(device);
  runtimes.by_platform[kTorchCompiledPlatform] = std::make_unique<TorchCompiledRuntime>(device);
}

std::string LibTorchDescription() { return "LibTorch " TORCH_VERSION; }

void SetUpLibTorch(uint32_t threads) {
  at::set_num_threads(static_cast<int>(threads));
  at::set_num_interop_threads(1);
  // The profiling executor compiles a model anew when it meets new shapes, in the middle of a
  // request. A frozen module is optimised already.
  torch::jit::getProfilingMode() = false;
  // A package's code trusts the shapes it is given but for this; a wrong one would read beyond.
  setenv("AOTI_RUNTIME_CHECK_INPUTS", "1", /*overwrite=*/1);
}

}  // namespace tandem::worker
