// Time, injected, so that tests and simulations turn it by hand.
#pragma once

#include <chrono>

namespace tandem {

// Monotonic time; its zero means nothing.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
using Duration = std::chrono::nanoseconds;

// A deadline that never comes.
inline constexpr TimePoint kNever = TimePoint::max();

class Clock {
 public:
  virtual ~Clock() = default;
  // Thread-safe.
  virtual TimePoint Now() const = 0;
};

class SystemClock : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
};

inline double ToMicroseconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

inline double ToSeconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace tandem
