// What a simulation plays: pools given by their cost models, arrivals, a deadline, and the loads to
// try. Read from JSON; docs/scheduling.md describes the fields. Values; free functions,
// thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/model_config.h"

namespace tandem::simulation {

// Of one load. Each takes some tens of bytes, and some hundreds while it waits: 4 GB where all
// wait.
inline constexpr uint64_t kMostRequests = 10'000'000;

struct SimulatedPool {
  std::string name;
  PoolKind kind = PoolKind::kCpu;
  uint32_t lanes = 1;
  // A batch takes alpha + beta · rows on one lane.
  Duration alpha{0};
  Duration beta{0};

  Duration TimeOf(int64_t rows) const { return alpha + beta * rows; }
};

struct Arrivals {
  enum class Kind { kGamma, kReplay } kind = Kind::kGamma;
  // Variance of the gaps between arrivals over their squared mean. 1: Poisson.
  double burstiness = 1.0;
  // For kReplay: the lines of a CSV file.
  std::string csv;
};

struct Scenario {
  std::string name;
  std::string about;
  std::vector<SimulatedPool> pools;
  int64_t max_batch_size = 1;
  // Time that a request may take, from its arrival.
  Duration slo{0};
  Arrivals arrivals;
  // Each batch takes its time multiplied by a random factor from 1 - cost_error to 1 + cost_error.
  double cost_error = 0.0;
  // Arrivals over what the pools can do together (FluidRate). Empty: a replayed trace as it stands.
  std::vector<double> loads;
  // At most kMostRequests.
  uint64_t requests = 20000;
  uint64_t seed = 1;
};

// INVALID_ARGUMENT: names the field, what was expected and what came. `name` stands for one that
// the text leaves out; a CSV file is looked for in `folder`.
absl::StatusOr<Scenario> ParseScenario(std::string_view json, std::string name,
                                       const std::string& folder);

// Rows a second that a lane of the pool can do at its best batch whose time is within the SLO. 0:
// not even one row is.
double BestLaneRate(const Scenario& scenario, const SimulatedPool& pool);

// The sum of that over all lanes of all pools.
double FluidRate(const Scenario& scenario);

}  // namespace tandem::simulation
