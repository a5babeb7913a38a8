// A wait that can be cut short, once and for all. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace tandem::client {

class Interruption {
 public:
  void Interrupt() {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    changed_.notify_all();
  }

  bool interrupted() const {
    const std::lock_guard lock(mutex_);
    return interrupted_;
  }

  // False where it was interrupted before that time.
  bool SleepUntil(std::chrono::steady_clock::time_point time) const {
    std::unique_lock lock(mutex_);
    return !changed_.wait_until(lock, time, [this] { return interrupted_; });
  }
  bool SleepFor(std::chrono::nanoseconds duration) const {
    return SleepUntil(std::chrono::steady_clock::now() + duration);
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::client
