// How long a thread should look at shared memory before it sleeps: as long as that catches the next
// entry, and not at all while the entries come too seldom for it.
#pragma once

#include <algorithm>
#include <chrono>

namespace tandem::ipc {

// A pure state machine; the caller measures how long it waited. Not thread-safe.
class AdaptiveSpin {
 public:
  // `longest`: the spin where work is frequent. 0: never spin.
  explicit AdaptiveSpin(std::chrono::nanoseconds longest) : longest_(longest), budget_(longest) {}

  // Another spin where work is frequent. One that differs is tried in full.
  void SetLongest(std::chrono::nanoseconds longest) {
    if (longest == longest_) return;
    longest_ = longest;
    budget_ = longest;
  }

  // For the next wait.
  std::chrono::nanoseconds budget() const { return budget_; }

  // The last wait lasted so long until work was there. One that a spin would have caught brings the
  // full spin back; each that outlasts it halves the spin, down to none, so that an idle thread
  // soon costs nothing.
  void Observe(std::chrono::nanoseconds waited) {
    if (waited <= longest_) {
      budget_ = longest_;
    } else {
      budget_ = budget_ > kShortest ? budget_ / 2 : std::chrono::nanoseconds(0);
    }
  }

 private:
  // Below it a spin is not worth its two looks at the clock.
  static constexpr std::chrono::nanoseconds kShortest{500};

  std::chrono::nanoseconds longest_;
  std::chrono::nanoseconds budget_;
};

}  // namespace tandem::ipc
