// A clock that a test turns by hand. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>

#include "core/clock.h"

namespace tandem {

class ManualClock : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(Duration(now_.load())); }
  void Advance(Duration duration) { now_.fetch_add(duration.count()); }

 private:
  // Not zero, so that a time that nobody has set does not look like now.
  std::atomic<Duration::rep> now_{Duration(std::chrono::hours(1)).count()};
};

}  // namespace tandem
