// Holds a worker to its pool's limit of memory. What counts is memory of its own: neither the
// arenas, which it shares with the server, nor the files of its programs. RLIMIT_AS would count
// addresses, of which CUDA takes far more than it uses. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "core/clock.h"

namespace tandem {

// Bytes of its own that a process has in memory. Nothing where it has gone.
std::optional<uint64_t> OwnMemory(pid_t pid);

class MemoryWatch {
 public:
  static constexpr Duration kInterval = std::chrono::milliseconds(100);

  // `limit` in bytes, 0: none. The first look is due at once.
  explicit MemoryWatch(uint64_t limit) : limit_(limit) {}

  // When to look next. kNever: there is no limit.
  TimePoint next() const { return limit_ == 0 ? kNever : next_; }
  // True, once an interval, where it is time to look.
  bool IsDue(TimePoint now);
  // What a process has and may have, as in "403 MiB of memory and its pool allows 400 MiB"; empty
  // where it is within its limit.
  std::string Judge(uint64_t bytes) const;

 private:
  const uint64_t limit_;
  TimePoint next_{};
};

}  // namespace tandem
