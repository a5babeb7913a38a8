// Lets many through at the same time, or one alone. Who wants to be alone holds up those who come
// later and waits for those who are inside, so that a steady flow cannot keep it out (as it may
// with std::shared_mutex).
#pragma once

#include <mutex>
#include <shared_mutex>

namespace tandem::worker {

// Thread-safe. Not recursive.
class ExclusiveGate {
 public:
  // Inside together with others, until the lock is released.
  std::shared_lock<std::shared_mutex> Enter() {
    const std::lock_guard turn(turn_);
    return std::shared_lock(inside_);
  }

  // Inside alone.
  std::unique_lock<std::shared_mutex> EnterAlone() {
    const std::lock_guard turn(turn_);
    return std::unique_lock(inside_);
  }

 private:
  // Held by whoever is about to enter.
  std::mutex turn_;
  std::shared_mutex inside_;
};

}  // namespace tandem::worker
