// When to give back what the allocator keeps of memory that was freed. Pure; not thread-safe.
//
// The C library keeps what was freed for later. After thousands of requests that waited at a time,
// or large answers that nobody read, that is much, and mostly for nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace tandem::server {

class IdleMemory {
 public:
  // Less is not worth the time.
  static constexpr uint64_t kWorthwhile = uint64_t{8} << 20;

  // To be told every few seconds what the process takes. True where so much more than what it can
  // do with was taken at two looks in a row: all that is free is to be given back then.
  bool IsWorthwhile(uint64_t resident_bytes) {
    needed_ = std::min(needed_, resident_bytes);
    return std::exchange(was_above_, resident_bytes - needed_ >= kWorthwhile) && was_above_;
  }
  // What the process takes afterwards is in use.
  void OnGivenBack(uint64_t resident_bytes) {
    needed_ = resident_bytes;
    was_above_ = false;
  }

 private:
  uint64_t needed_ = UINT64_MAX;
  bool was_above_ = false;
};

}  // namespace tandem::server
