// Lets a thread sleep until a time that other threads may bring forward meanwhile. That costs them
// one call of the kernel, and the sleeper is not woken for it: with a condition variable it would
// have to be, only to sleep for less.
#pragma once

#include "core/clock.h"

namespace tandem {

class WakeTimer {
 public:
  // Throws std::system_error where the system has no descriptor left.
  WakeTimer();
  ~WakeTimer();
  WakeTimer(const WakeTimer&) = delete;
  WakeTimer& operator=(const WakeTimer&) = delete;

  // The sleep, or the next one, ends after that time, and not when was told before. Thread-safe.
  void Set(Duration after);

  // Returns once the time is over. One thread at a time.
  void Sleep() const;

 private:
  const int timer_;
};

}  // namespace tandem
