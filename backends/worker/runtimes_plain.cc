// The runtimes of tandem-worker-plain: a worker for tests, without LibTorch.
#include "backends/worker/executor.h"
#include "backends/worker/synthetic_runtime.h"

namespace tandem::worker {

absl::StatusOr<Runtimes> MakeRuntimes(const RuntimeOptions& /*options*/) {
  Runtimes runtimes;
  runtimes.by_platform.emplace("synthetic", std::make_unique<SyntheticRuntime>());
  runtimes.description = "synthetic";
  runtimes.device = "cpu";
  return runtimes;
}

}  // namespace tandem::worker
