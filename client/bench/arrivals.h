// When an open loop's calls are due.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>

namespace tandem::client {

// Times since the start, ascending. With Poisson arrivals the gaps are exponential, as of many
// clients that know nothing of each other; otherwise they are equal. Not thread-safe.
class Arrivals {
 public:
  // `rate`: calls a second. The same seed gives the same times. `first`: when the first is due
  // where gaps are equal, as a part of a gap, so that several loops interleave.
  Arrivals(double rate, bool poisson, uint32_t seed, double first = 1)
      : random_(seed), gap_(rate), mean_(1 / rate), poisson_(poisson), next_(first * mean_) {
    if (poisson_) next_ = gap_(random_);
  }

  // When the next call is due.
  std::chrono::nanoseconds Next() {
    const double due = next_;
    next_ = poisson_ ? next_ + gap_(random_) : next_ + mean_;
    return std::chrono::nanoseconds(std::llround(std::min(due, kLatest) * 1e9));
  }

  // Leaves out the calls that are due before `time`.
  void SkipTo(std::chrono::nanoseconds time) {
    const double to = std::chrono::duration<double>(time).count();
    if (next_ >= to) return;
    // Exponential gaps have no memory.
    next_ = poisson_ ? to + gap_(random_) : next_ + std::ceil((to - next_) / mean_) * mean_;
  }

  // How many are still due before `time`; with Poisson arrivals how many are expected.
  uint64_t CountUntil(std::chrono::nanoseconds time) const {
    const double gaps = (std::chrono::duration<double>(time).count() - next_) / mean_;
    return gaps <= 0 ? 0 : static_cast<uint64_t>(std::ceil(std::min(gaps, kMostCalls)));
  }

 private:
  // Of what is counted in integers: seconds that fit their nanoseconds, and calls.
  static constexpr double kLatest = 4e9;
  static constexpr double kMostCalls = 1e18;

  std::mt19937 random_;
  std::exponential_distribution<double> gap_;
  double mean_;
  bool poisson_;
  // Seconds.
  double next_;
};

}  // namespace tandem::client
