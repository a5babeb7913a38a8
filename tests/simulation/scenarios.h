// Scenarios for the tests of the simulation. Free functions, thread-safe.
#pragma once

#include "simulation/scenario.h"

namespace tandem::simulation {

// Under a sanitizer a request costs 30 times as much. On a trace so short chance and its end take
// more of the fluid bound: over 20 seeds 0.91 was the least part that was reached.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr int kRequests = 2500;
inline constexpr double kLeastOfBound = 0.90;
#else
inline constexpr int kRequests = 10000;
inline constexpr double kLeastOfBound = 0.95;
#endif

// A GPU pool that does a full batch of 32 in 12 ms, and a CPU pool that is `ratio` times slower at
// its best and gains little from batches; an SLO of 100 ms.
inline Scenario TwoPools(double ratio, double burstiness = 1, double cost_error = 0) {
  const double row_ms = ratio * 12 / 32;
  const auto ms = [](double value) { return Duration{static_cast<int64_t>(value * 1e6)}; };
  Scenario scenario;
  scenario.name = "two_pools";
  scenario.pools = {{"gpu", PoolKind::kGpu, 1, ms(4), ms(0.25)},
                    {"cpu", PoolKind::kCpu, 1, ms(0.1 * row_ms), ms(0.9 * row_ms)}};
  scenario.max_batch_size = 32;
  scenario.slo = ms(100);
  scenario.arrivals.burstiness = burstiness;
  scenario.cost_error = cost_error;
  scenario.requests = kRequests;
  return scenario;
}

}  // namespace tandem::simulation
