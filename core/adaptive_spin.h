// How long a thread should look for something before it sleeps: as long as that catches what comes,
// not at all while that comes too seldom for it, and not where others want the core.
#pragma once

#include <algorithm>

#include "core/clock.h"

namespace tandem {

// A pure state machine; the caller measures. It gives its core away between two looks, since that
// may be what the very thread needs that is looked for. Not thread-safe.
class AdaptiveSpin {
 public:
  // A yield after which the core is back so late has given it to one that computes: then each look
  // takes that one's slice of time, and who sleeps and is woken is served much sooner.
  static constexpr Duration kLongestYield = std::chrono::milliseconds(1);
  // No looks for so many times as long as such a yield took: what they cost is a small share.
  static constexpr int kPause = 20;

  // `longest`: the spin where work is frequent. 0: never spin.
  explicit AdaptiveSpin(Duration longest) : longest_(longest), budget_(longest) {}

  // Another spin where work is frequent. One that differs is tried in full.
  void SetLongest(Duration longest) {
    if (longest == longest_) return;
    longest_ = longest;
    budget_ = longest;
  }

  // For a wait that begins now.
  Duration budget(TimePoint now) const { return now < paused_until_ ? Duration{0} : budget_; }

  // The last wait lasted so long until work was there. One that a spin would have caught brings the
  // full spin back; each that outlasts it halves the spin, down to none, so that an idle thread
  // soon costs nothing.
  void Observe(Duration waited) {
    if (waited <= longest_) {
      budget_ = longest_;
    } else {
      budget_ = budget_ > kShortest ? budget_ / 2 : Duration{0};
    }
  }

  // Between two looks the core was given away, and is back. False: to sleep is better.
  bool OnYield(TimePoint before, TimePoint after) {
    if (after - before < kLongestYield) return true;
    paused_until_ = after + kPause * (after - before);
    return false;
  }

 private:
  // Below it a spin is not worth its two looks at the clock.
  static constexpr Duration kShortest = std::chrono::nanoseconds(500);

  Duration longest_;
  Duration budget_;
  TimePoint paused_until_{};
};

}  // namespace tandem
