// The runtimes of tandem-worker-cuda.
#include "backends/worker/executor.h"
#include "backends/worker/synthetic_runtime.h"
#include "backends/worker/torch_cuda_device.h"
#include "backends/worker/torch_runtime.h"

namespace tandem::worker {

absl::StatusOr<Runtimes> MakeRuntimes(const RuntimeOptions& options) {
  absl::StatusOr<std::unique_ptr<CudaDevice>> device = CudaDevice::Make(options);
  if (!device.ok()) return device.status();
  SetUpLibTorch(options.threads);
  Runtimes runtimes;
  runtimes.description = LibTorchDescription();
  runtimes.device = (*device)->name();
  AddTorchRuntimes(*std::move(device), runtimes);
  runtimes.by_platform["synthetic"] = std::make_unique<SyntheticRuntime>();
  return runtimes;
}

}  // namespace tandem::worker
