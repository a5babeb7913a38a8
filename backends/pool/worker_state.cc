#include "backends/pool/worker_state.h"

namespace tandem {
namespace {

using State = WorkerState;
using Event = WorkerEvent;

constexpr Transition<WorkerState, WorkerEvent> kTransitions[] = {
    {State::kStarting, Event::kGreeted, State::kReady},
    {State::kStarting, Event::kEnded, State::kRestarting},
    {State::kStarting, Event::kStop, State::kStopping},
    {State::kReady, Event::kEnded, State::kRestarting},
    {State::kReady, Event::kStop, State::kStopping},
    {State::kRestarting, Event::kStarted, State::kStarting},
    {State::kRestarting, Event::kStop, State::kStopped},
    {State::kStopping, Event::kEnded, State::kStopped},
};

}  // namespace

const char* Name(WorkerState state) {
  switch (state) {
    case State::kStarting:
      return "starting";
    case State::kReady:
      return "ready";
    case State::kRestarting:
      return "restarting";
    case State::kStopping:
      return "stopping";
    case State::kStopped:
      return "stopped";
  }
  return "";
}

const char* Name(WorkerEvent event) {
  switch (event) {
    case Event::kStarted:
      return "process started";
    case Event::kGreeted:
      return "hello";
    case Event::kEnded:
      return "process ended";
    case Event::kStop:
      return "stop asked";
  }
  return "";
}

absl::Span<const Transition<WorkerState, WorkerEvent>> WorkerTransitions() { return kTransitions; }

}  // namespace tandem
