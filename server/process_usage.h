// What a process uses of the machine, from /proc.
#pragma once

#include <cstdint>
#include <optional>

namespace tandem::server {

struct ProcessUsage {
  uint64_t resident_bytes = 0;
  // User and system time since its start.
  double cpu_seconds = 0;
};

// `pid` 0: this process. Nothing where there is no such process. Thread-safe.
std::optional<ProcessUsage> ReadProcessUsage(int64_t pid);

}  // namespace tandem::server
