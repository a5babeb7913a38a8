// Bytes that many may take part of, up to so many together. Thread-safe; a share is of one thread
// at a time.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tandem::server {

class MemoryBudget {
 public:
  // What somebody has taken; it is given back at its end. Ends before the budget.
  class Share {
   public:
    explicit Share(MemoryBudget& budget) : budget_(budget) {}
    ~Share() { GiveBack(); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Takes more. False: others have too much.
    [[nodiscard]] bool TryTake(uint64_t bytes) {
      const absl::MutexLock lock(&budget_.mutex_);
      if (!budget_.HasRoomFor(bytes)) return false;
      Add(bytes);
      return true;
    }

    // Takes more, and waits for it until others have given enough back.
    void Take(uint64_t bytes) {
      const auto has_room = [this, bytes]() ABSL_SHARED_LOCKS_REQUIRED(budget_.mutex_) {
        return budget_.HasRoomFor(bytes);
      };
      const absl::MutexLock lock(&budget_.mutex_, absl::Condition(&has_room));
      Add(bytes);
    }

    void GiveBack() {
      if (bytes_ == 0) return;
      const absl::MutexLock lock(&budget_.mutex_);
      budget_.taken_ -= bytes_;
      bytes_ = 0;
    }

   private:
    void Add(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(budget_.mutex_) {
      budget_.taken_ += bytes;
      bytes_ += bytes;
    }

    MemoryBudget& budget_;
    uint64_t bytes_ = 0;
  };

  explicit MemoryBudget(uint64_t bytes) : bytes_(bytes) {}

 private:
  // Who is alone may take more than all.
  bool HasRoomFor(uint64_t bytes) const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return taken_ == 0 || (taken_ <= bytes_ && bytes <= bytes_ - taken_);
  }

  const uint64_t bytes_;
  absl::Mutex mutex_;
  uint64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem::server
