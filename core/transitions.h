// A state machine as a table, so that it can be tested as a whole and drawn (docs/faults.md).
#pragma once

#include "absl/types/span.h"

namespace tandem {

template <typename State, typename Event>
struct Transition {
  State from;
  Event on;
  State to;
};

// Where the event leads from the state. An event that the table does not name for a state leaves it
// as it is.
template <typename State, typename Event>
State Next(absl::Span<const Transition<State, Event>> table, State from, Event on) {
  for (const Transition<State, Event>& row : table) {
    if (row.from == from && row.on == on) return row.to;
  }
  return from;
}

}  // namespace tandem
