// What a process holds of the machine, as /proc shows it, and whether it grew. Free functions.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace tandem::client {

struct Footprint {
  int64_t resident_bytes = 0;
  int64_t descriptors = 0;
  // Those with the process's own name: gRPC's threads have others, and come and go with the load.
  int64_t threads = 0;
};

// Nothing where the process is not there, or belongs to somebody else.
std::optional<Footprint> ReadFootprint(pid_t pid);

// The parent of a process; 0 where there is no such process.
pid_t ParentOf(pid_t pid);

// Whether the process was started as a worker of Tandem.
bool IsWorker(pid_t pid);

// The growth that a run may end with: memory, while descriptors and threads are to come back.
inline constexpr int64_t kMostResidentGrowth = 10'000'000;

Footprint Growth(const Footprint& before, const Footprint& after);
bool IsLeak(const Footprint& growth);

}  // namespace tandem::client
