// How long batches really take in a simulation: the pool's cost model times a random factor.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "simulation/scenario.h"

namespace tandem::simulation {

// The n-th batch of a pool draws the same factor under every policy, so that they are compared by
// what they decide and not by their luck (common random numbers).
class ServiceTimes {
 public:
  explicit ServiceTimes(const Scenario& scenario)
      : scenario_(scenario), factor_(1 - scenario.cost_error, 1 + scenario.cost_error) {
    for (size_t pool = 0; pool < scenario.pools.size(); ++pool) {
      random_.emplace_back(Generator(pool, kServing));
      warm_up_random_.emplace_back(Generator(pool, kWarmUp));
    }
  }

  Duration Draw(size_t pool, int64_t rows) { return Draw(pool, rows, random_[pool]); }
  // Of a run before the first request.
  Duration DrawWarmUp(size_t pool, int64_t rows) { return Draw(pool, rows, warm_up_random_[pool]); }

 private:
  enum Purpose : uint64_t { kServing = 1, kWarmUp = 2 };

  std::mt19937_64 Generator(size_t pool, Purpose purpose) const {
    std::seed_seq seed{scenario_.seed, uint64_t{pool}, uint64_t{purpose}};
    return std::mt19937_64(seed);
  }

  Duration Draw(size_t pool, int64_t rows, std::mt19937_64& random) {
    const Duration time = scenario_.pools[pool].TimeOf(rows);
    return Duration{static_cast<int64_t>(static_cast<double>(time.count()) * factor_(random))};
  }

  const Scenario& scenario_;
  std::uniform_real_distribution<double> factor_;
  // By pool.
  std::vector<std::mt19937_64> random_;
  std::vector<std::mt19937_64> warm_up_random_;
};

}  // namespace tandem::simulation
