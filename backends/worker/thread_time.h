// What a thread has computed.
#pragma once

#include <chrono>
#include <ctime>

namespace tandem::worker {

// The calling thread's CPU time, without what it waited for a core. To ask for it takes a
// microsecond.
inline std::chrono::nanoseconds CpuTimeOfThread() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace tandem::worker
