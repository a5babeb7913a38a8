// The runtimes of tandem-worker.
#include "backends/worker/executor.h"
#include "backends/worker/synthetic_runtime.h"
#include "backends/worker/torch_runtime.h"

namespace tandem::worker {

absl::StatusOr<Runtimes> MakeRuntimes(const RuntimeOptions& options) {
  SetUpLibTorch(options.threads);
  Runtimes runtimes;
  AddTorchRuntimes(std::make_shared<CpuDevice>(), runtimes);
  runtimes.by_platform["synthetic"] = std::make_unique<SyntheticRuntime>();
  runtimes.description = LibTorchDescription();
  runtimes.device = "cpu";
  return runtimes;
}

}  // namespace tandem::worker
