#include "backends/worker/niceness.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tandem::worker {
namespace {

// Longer than what Linux gives by default (up to 3 ms), but not by more than it takes: a thread
// that yields, or that has had its slice, is behind the others by a slice, divided by its weight.
constexpr uint64_t kLongSliceNs = 5'000'000;

// SCHED_FLAG_KEEP_POLICY of the kernel's headers.
constexpr uint64_t kKeepPolicy = 0x08;

// As sched_setattr(2) reads it. The C library has it under this name from 2.41 on, the kernel's
// header does not go together with the C library's everywhere.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;  // of ordinary threads: the slice
  uint64_t deadline = 0;
  uint64_t period = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

thread_local bool gives_way = false;

// On Linux the number of a thread names that thread alone.
int NicenessOfThread() { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); }

}  // namespace

void MakeThreadNice(uint32_t nice) {
  if (NicenessOfThread() >= static_cast<int>(nice)) return;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), static_cast<int>(nice));
}

void MakeThreadGiveWay(uint32_t nice) {
  MakeThreadNice(nice);
  SchedulingAttributes attributes;
  attributes.flags = kKeepPolicy;
  attributes.nice = NicenessOfThread();
  attributes.runtime = kLongSliceNs;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
  SchedulingAttributes taken;
  gives_way =
      syscall(SYS_sched_getattr, 0, &taken, sizeof(taken), 0) == 0 && taken.runtime == kLongSliceNs;
}

bool ThreadGivesWay() { return gives_way; }

}  // namespace tandem::worker
