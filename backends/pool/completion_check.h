// Checks what a worker says of a batch that it has run, and makes a result of it. A worker is not
// trusted: its models are code. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "backends/ipc/region_layout.h"
#include "backends/pool/worker_memory.h"
#include "core/backend.h"

namespace tandem {

// The result that the entry announces; a model's failure is a result too. INTERNAL, with what is
// wrong, where the worker broke the protocol: it is then to be ended. `entry` is a copy that the
// worker cannot change; `elapsed` is the time since the batch was handed over, the most that the
// worker's own measure is believed.
absl::StatusOr<BatchResult> CheckCompletion(WorkerMemory& memory, const ipc::CompletionEntry& entry,
                                            Duration elapsed);

}  // namespace tandem
