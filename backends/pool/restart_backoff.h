// How long to wait before a dead worker is started again. Pure; not thread-safe.
//
// Longer after each death, from 0.1 s to 30 s, and from the beginning after 10 s of health: a
// worker that crashes again and again shall not take the machine from the others. But where it
// served for a while between two crashes, a long wait takes more from its clients than it saves:
// that wait is shorter, and those after it grow from there. A
// death that cannot make such a loop is another matter. Somebody outside sent the signal, or the
// worker hung for its batch's whole budget, which is a wait in itself: then all that a long wait
// does is to keep the clients of healthy models waiting.
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
  // One that has served for so long is kept away for no more than a quarter of that time.
  static constexpr Duration kServed = std::chrono::seconds(1);
  // The longest after a death that is no crash.
  static constexpr Duration kLongestWithoutCrash = std::chrono::milliseconds(200);

  // Different seeds keep workers that died together from starting together.
  explicit RestartBackoff(uint32_t seed) : random_(seed) {}

  // The wait after a death of a worker that had been ready for so long: between half of the step
  // and the whole. `crashed`: it died of itself, at once.
  Duration Next(Duration healthy_for, bool crashed);
  // What made the worker crash was found and is gone; a crash to come is another matter.
  void Reset() { step_ = kFirst; }

 private:
  std::minstd_rand random_;
  Duration step_ = kFirst;
};

}  // namespace tandem
