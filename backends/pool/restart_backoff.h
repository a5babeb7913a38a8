// How long to wait before a dead worker is started again: longer after each death, from 0.1 s to 30
// s, and from the beginning after 10 s of health. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <random>

#include "core/clock.h"

namespace tandem {

class RestartBackoff {
 public:
  static constexpr Duration kFirst = std::chrono::milliseconds(100);
  static constexpr Duration kLongest = std::chrono::seconds(30);
  static constexpr Duration kHealthy = std::chrono::seconds(10);

  // Different seeds keep workers that died together from starting together.
  explicit RestartBackoff(uint32_t seed) : random_(seed) {}

  // The wait after a death of a worker that had been ready for so long: between half of the step
  // and the whole.
  Duration Next(Duration healthy_for);

 private:
  std::minstd_rand random_;
  Duration step_ = kFirst;
};

}  // namespace tandem
