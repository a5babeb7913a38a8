// Plays a scenario at each of its loads under every policy, and tells the outcomes to people and
// programs. Free functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/outcome.h"

namespace tandem::simulation {

struct Experiment {
  Scenario scenario;
  // Load by load; "tandem" first, then the baselines.
  std::vector<Outcome> outcomes;
  // Requests played, over all policies and loads.
  uint64_t requests = 0;
};

// INVALID_ARGUMENT: the trace cannot be replayed.
absl::StatusOr<Experiment> RunExperiment(Scenario scenario);

// A list with an object for each outcome: policy, load, goodput, fluid_bound, p50_ms, p99_ms,
// slo_miss, use.
std::string ToJson(const Experiment& experiment);

// The same as a table for people.
std::string ToTable(const Experiment& experiment);

}  // namespace tandem::simulation
