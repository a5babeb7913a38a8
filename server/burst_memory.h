// When to give back what a burst of requests has left in the allocator. Pure; not thread-safe.
//
// The C library keeps what was freed for later. After thousands of requests that waited at a time,
// as while all workers were away, that is much, and mostly for nothing.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tandem::server {

class BurstMemory {
 public:
  // Fewer at a time leave little behind.
  static constexpr uint64_t kBurst = 1000;

  // To be told now and then how many requests are in flight. True once after each burst, when it is
  // over: fewer than a tenth are left of the most that were there.
  bool IsLeft(uint64_t requests) {
    most_ = std::max(most_, requests);
    if (most_ < kBurst || requests >= most_ / 10) return false;
    most_ = requests;
    return true;
  }

 private:
  uint64_t most_ = 0;
};

}  // namespace tandem::server
