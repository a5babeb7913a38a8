// A worker's process at the beginning of its life: started and greeted, with the memory that it was
// given.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "backends/pool/control_queue.h"
#include "backends/pool/pool.h"
#include "backends/pool/worker_memory.h"
#include "backends/pool/worker_process.h"

namespace tandem {

struct LaunchedWorker {
  WorkerProcess process;
  ControlQueue control;
  // Shared for the reasons that WorkerMemory gives.
  std::shared_ptr<WorkerMemory> memory;
};

// Starts the pool's worker `index` and sends it Hello. Errors as WorkerProcess::Spawn, and
// RESOURCE_EXHAUSTED and the like where there is no memory or no descriptor for it.
absl::StatusOr<LaunchedWorker> LaunchWorker(const PoolOptions& options, uint32_t index);

// How long the threads at either end of the pool's rings look at them before they sleep. 0: not at
// all.
Duration SpinTime(const PoolOptions& options);

}  // namespace tandem
