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
  // Looks after which it is tried again to give back what was left: it may have been in use only by
  // what went on just then. Twice as many after each time that this brought nothing.
  static constexpr int kFirstDoubt = 3;
  static constexpr int kLastDoubt = 120;

  // To be told every few seconds what the process takes. True where so much more than what it can
  // do with was taken at two looks in a row: all that is free is to be given back then.
  bool IsWorthwhile(uint64_t resident_bytes) {
    resident_ = resident_bytes;
    least_ = std::min(least_, resident_bytes);
    needed_ = std::min(needed_, resident_bytes);
    if (until_doubt_ > 0 && --until_doubt_ == 0) needed_ = least_;
    return std::exchange(was_above_, resident_bytes - needed_ >= kWorthwhile) && was_above_;
  }
  // What the process takes afterwards is in use, for the time being.
  void OnGivenBack(uint64_t resident_bytes) {
    const bool was_worthwhile = resident_bytes + kWorthwhile <= resident_;
    doubt_ = was_worthwhile ? kFirstDoubt : std::min(2 * doubt_, kLastDoubt);
    until_doubt_ = doubt_;
    needed_ = resident_bytes;
    was_above_ = false;
  }

 private:
  uint64_t resident_ = 0;
  uint64_t least_ = UINT64_MAX;
  uint64_t needed_ = UINT64_MAX;
  bool was_above_ = false;
  int doubt_ = kFirstDoubt;
  // 0: nothing was given back yet, or it is doubted already.
  int until_doubt_ = 0;
};

}  // namespace tandem::server
