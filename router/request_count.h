// Counts the requests that a version has taken and not answered, and says when the last has gone of
// a version that takes no more. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

namespace tandem {

class RequestCount {
 public:
  // Not after Close, but by who is in already.
  void Enter() { count_.fetch_add(1, std::memory_order_relaxed); }

  // True for the last one after Close: nobody else uses the version any more.
  bool Leave() { return count_.fetch_sub(1, std::memory_order_acq_rel) == (kClosed | 1); }

  // Nobody enters any more. True where nobody is in, so that none will see the last one leave.
  // Called once.
  bool Close() { return count_.fetch_or(kClosed, std::memory_order_acq_rel) == 0; }

 private:
  static constexpr uint64_t kClosed = uint64_t{1} << 63;
  std::atomic<uint64_t> count_{0};
};

}  // namespace tandem
