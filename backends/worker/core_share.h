// How much of a core a thread has while it computes.
#pragma once

#include <chrono>

namespace tandem::worker {

// For one thread, which looks now and then while it computes. The times of what passes go by one
// clock and those of what it computed (CPU time) by another.
class CoreShare {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // What passed since the last look was no computing.
  void Begin(Time now, std::chrono::nanoseconds computed) {
    looked_ = now;
    computed_until_ = computed;
  }

  std::chrono::nanoseconds SinceLook(Time now) const { return now - looked_; }

  // Whether the thread has had a fourth of its core or more, over the last looks.
  bool Look(Time now, std::chrono::nanoseconds computed) {
    passed_ += now - looked_ - passed_ / kMemory;
    computed_ += computed - computed_until_ - computed_ / kMemory;
    Begin(now, computed);
    return passed_ <= 4 * computed_;
  }

 private:
  // Looks, about.
  static constexpr int kMemory = 8;

  Time looked_;
  std::chrono::nanoseconds computed_until_{};
  // Sums that forget.
  std::chrono::nanoseconds passed_{};
  std::chrono::nanoseconds computed_{};
};

}  // namespace tandem::worker
