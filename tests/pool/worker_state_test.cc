#include "backends/pool/worker_state.h"

#include "tests/support/catch.h"
#include "tests/support/state_diagram.h"

namespace tandem::testing {
namespace {

constexpr WorkerState kStates[] = {WorkerState::kStarting, WorkerState::kReady,
                                   WorkerState::kRestarting, WorkerState::kStopping,
                                   WorkerState::kStopped};
constexpr WorkerEvent kEvents[] = {WorkerEvent::kStarted, WorkerEvent::kGreeted,
                                   WorkerEvent::kEnded, WorkerEvent::kStop};

TEST_CASE("A worker that is asked to stop never starts again, whatever happens", "[worker_state]") {
  for (const WorkerState first : {WorkerState::kStopping, WorkerState::kStopped}) {
    for (const WorkerEvent event : kEvents) {
      const WorkerState next = Next(WorkerTransitions(), first, event);
      CHECK((next == WorkerState::kStopping || next == WorkerState::kStopped));
    }
  }
}

TEST_CASE("From every state but the last one the end of the process leads on", "[worker_state]") {
  for (const WorkerState state : kStates) {
    const WorkerState after = Next(WorkerTransitions(), state, WorkerEvent::kEnded);
    const bool has_process = state != WorkerState::kRestarting && state != WorkerState::kStopped;
    CHECK((after != state) == has_process);
  }
}

TEST_CASE("A worker is ready only after its process's hello", "[worker_state]") {
  for (const WorkerState state : kStates) {
    for (const WorkerEvent event : kEvents) {
      if (state == WorkerState::kReady) continue;
      const bool ready = Next(WorkerTransitions(), state, event) == WorkerState::kReady;
      CHECK(ready == (state == WorkerState::kStarting && event == WorkerEvent::kGreeted));
    }
  }
}

TEST_CASE("The document draws the states of a worker as they are", "[worker_state]") {
  const std::string diagram = StateDiagram(WorkerTransitions());
  CAPTURE(diagram);
  CHECK(FaultsDocument().find(diagram) != std::string::npos);
}

}  // namespace
}  // namespace tandem::testing
