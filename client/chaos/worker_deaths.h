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
  // When the process was seen to have ended; nothing where it was not waited for.
  std::optional<WallTime> ended;
};

struct WorkerDeath {
  // Nothing: the worker died of something that the run did not cause.
  std::optional<FaultKind> kind;
  // Until the server knew: from the end of the process as the run saw it, which is late by a
  // wake-up at most, and from the signal, which is earlier by what the kernel takes to end a
  // process. Nothing where no signal of the run ended it.
  std::optional<std::chrono::microseconds> detected_after;
  std::optional<std::chrono::microseconds> detected_after_signal;
  // To the time at which the worker held its models again: from the signal, else from the death.
  // Nothing: it was not back at the log's end, or had died again before.
  std::optional<std::chrono::microseconds> back_after;
};

// `log` in the order of time, as the server wrote it.
std::vector<WorkerDeath> FindDeaths(const std::vector<WorkerLogEvent>& log,
                                    const std::vector<SentSignal>& signals);

}  // namespace tandem::client
