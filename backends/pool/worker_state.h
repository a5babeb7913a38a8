// The states of a worker of a pool, and what leads from one to the other. Pure.
#pragma once

#include "core/transitions.h"

namespace tandem {

enum class WorkerState {
  // Its process starts and has not said hello, or is about to.
  kStarting,
  // It takes work.
  kReady,
  // Its process has ended; the next one waits for the back-off.
  kRestarting,
  // It is asked to end, for good.
  kStopping,
  kStopped,
};

enum class WorkerEvent {
  // The process has been started.
  kStarted,
  // It has said hello and can serve.
  kGreeted,
  // The process has ended, however.
  kEnded,
  // The server asks it to end.
  kStop,
};

// "starting", "stop", …
const char* Name(WorkerState state);
const char* Name(WorkerEvent event);

absl::Span<const Transition<WorkerState, WorkerEvent>> WorkerTransitions();

}  // namespace tandem
