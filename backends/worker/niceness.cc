#include "backends/worker/niceness.h"

#include <sys/resource.h>
#include <unistd.h>

namespace tandem::worker {

// On Linux the number of a thread names that thread alone.
void MakeThreadNice(uint32_t nice) {
  const auto thread = static_cast<id_t>(gettid());
  if (getpriority(PRIO_PROCESS, thread) >= static_cast<int>(nice)) return;
  setpriority(PRIO_PROCESS, thread, static_cast<int>(nice));
}

}  // namespace tandem::worker
