// How long batches really take in a simulation: the pool's cost model times a random factor.
#pragma once

#include <random>

#include "simulation/scenario.h"

namespace tandem::simulation {

class ServiceTimes {
 public:
  explicit ServiceTimes(const Scenario& scenario)
      : scenario_(scenario),
        random_(scenario.seed + 1),
        factor_(1 - scenario.cost_error, 1 + scenario.cost_error) {}

  Duration Draw(size_t pool, int64_t rows) {
    const Duration time = scenario_.pools[pool].TimeOf(rows);
    return Duration{static_cast<int64_t>(static_cast<double>(time.count()) * factor_(random_))};
  }

 private:
  const Scenario& scenario_;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> factor_;
};

}  // namespace tandem::simulation
