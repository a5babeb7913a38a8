// The deaths of workers in a chaos run: what each came from, how soon the server knew, and how soon
// the worker was back. Pure.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <vector>

#include "client/chaos/fault_plan.h"
#include "client/chaos/worker_log.h"

namespace tandem::client {

// A signal that was sent to a worker.
struct SentSignal {
  FaultKind kind = FaultKind::kKill;
  pid_t pid = 0;
  // Taken before it was sent.
  WallTime time;
};

struct WorkerDeath {
  // Nothing: the worker died of something that the run did not cause.
  std::optional<FaultKind> kind;
  // From the signal that ended the process to the server's knowledge of it; nothing where no signal
  // of the run ended it. It holds the time that the kernel takes to end a process.
  std::optional<std::chrono::microseconds> detected_after;
  // To the time at which the worker held its models again: from the signal, else from the death.
  // Nothing: it was not back at the log's end, or had died again before.
  std::optional<std::chrono::microseconds> back_after;
};

// `log` in the order of time, as the server wrote it.
std::vector<WorkerDeath> FindDeaths(const std::vector<WorkerLogEvent>& log,
                                    const std::vector<SentSignal>& signals);

}  // namespace tandem::client
