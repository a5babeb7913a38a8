// When one of a model's pools is to be tried anew. A pool that is predicted to be slower than
// another gets no requests while these are few, so that nothing tells when it is fast again: one
// slow minute would be believed for ever. Pure; not thread-safe.
#pragma once

#include <algorithm>

#include "core/clock.h"

namespace tandem {

class Reappraisal {
 public:
  // Without a batch for so long the pool may be tried with one. Twice as long after each such batch
  // that took as long as predicted, and at once where it was faster.
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::minutes(1);

  // One row is predicted to take so long from now on.
  void OnLearnt(Duration row) { least_ = std::min(least_, row); }

  // A batch has ended, well. `before` and `after`: what a row was predicted to take without it, and
  // with it.
  void OnBatch(TimePoint now, Duration before, Duration after) {
    if (after <= before / 4 * 3) {
      pause_ = Duration{0};
    } else {
      pause_ = IsDue(now) ? std::clamp(2 * pause_, kFirstPause, kLongestPause) : kFirstPause;
    }
    last_ended_ = now;
  }

  bool IsDue(TimePoint now) const { return now - last_ended_ >= pause_; }
  // The least that a row was ever predicted to take.
  Duration least() const { return least_; }

 private:
  Duration least_ = Duration::max();
  Duration pause_ = kFirstPause;
  // kNever: no batch has ended.
  TimePoint last_ended_ = kNever;
};

}  // namespace tandem
