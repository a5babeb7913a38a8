// When requests arrive and when they must be answered. Free functions, thread-safe.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "simulation/scenario.h"

namespace tandem::simulation {

// A request of one row.
struct Arrival {
  TimePoint at;
  TimePoint deadline;
};

// In the order of time.
using ArrivalTrace = std::vector<Arrival>;

// When traces start.
inline constexpr TimePoint kTraceStart{std::chrono::hours(1)};

// The scenario's arrivals at a rate of `load` · FluidRate. Equal for equal scenarios and loads. A
// CSV has a line for each request: its time in milliseconds, and optionally its own SLO, also in
// milliseconds; lines that begin with a letter or '#' are passed over. INVALID_ARGUMENT for another
// line, with its number, and where the requests would arrive over more than thirty years.
absl::StatusOr<ArrivalTrace> MakeTrace(const Scenario& scenario, double load);

// The load of a replayed trace as it stands.
absl::StatusOr<double> LoadOfReplay(const Scenario& scenario);

}  // namespace tandem::simulation
