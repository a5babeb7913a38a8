// The ways in which other servers, and textbooks, would spread the same trace over the same pools.
// Each takes the largest batch that waits as soon as a lane is free, and drops what has expired.
// Pure.
#pragma once

#include <string_view>

#include "absl/types/span.h"
#include "simulation/outcome.h"

namespace tandem::simulation {

enum class Baseline {
  // All to the GPU pools; to the CPU pools where there are no others.
  kGpuOnly,
  // Each request to a pool at random, in proportion to what the pools can do.
  kStaticSplit,
  // Each request to the lane with the fewest requests before it.
  kShortestQueue,
  // One line; whichever lane has been idle for longest takes it, as a mixed instance group does.
  kFirstIdle,
  // Each request, by itself, to the lane that would finish it first.
  kEarliestFinish,
};

absl::Span<const Baseline> Baselines();

// "gpu_only", "static_split", …
std::string_view NameOf(Baseline baseline);

Outcome SimulateBaseline(const Scenario& scenario, const ArrivalTrace& trace, Baseline baseline);

}  // namespace tandem::simulation
