#include "backends/worker/torch_runtime.h"

#include <ATen/Parallel.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/headeronly/version.h>

#include "backends/worker/torch_executor.h"

namespace tandem::worker {

absl::StatusOr<std::unique_ptr<Executor>> TorchRuntime::Load(const ModelSpec& model) {
  return TorchExecutor::Load(model, *device_);
}

std::string LibTorchDescription() { return "LibTorch " TORCH_VERSION; }

void SetUpLibTorch(uint32_t threads) {
  at::set_num_threads(static_cast<int>(threads));
  at::set_num_interop_threads(1);
  // The profiling executor compiles a model anew when it meets new shapes, in the middle of a
  // request. A frozen module is optimised already.
  torch::jit::getProfilingMode() = false;
}

}  // namespace tandem::worker
