// How long the threads of a process have stood ready to run and without a CPU, as the kernel counts
// it. Functions are thread-safe.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>

#include "core/clock.h"

namespace tandem {

// By the thread's number, since its birth.
using CpuWaits = std::map<pid_t, Duration>;

// Nothing where the process is gone, or the kernel does not count.
std::optional<CpuWaits> ReadCpuWaits(pid_t process);

// The most that one thread has waited from one reading to the next.
Duration LongestWait(const CpuWaits& before, const CpuWaits& after);

}  // namespace tandem
