#include "backends/worker/nicer_thread.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "backends/worker/niceness.h"
#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

int OwnNiceness() { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); }

// As sched_getattr(2) tells them; the slice is zero before Linux 6.12.
struct Scheduling {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t slice;
  uint64_t deadline;
  uint64_t period;
};

Scheduling OwnScheduling() {
  Scheduling scheduling{};
  syscall(SYS_sched_getattr, 0, &scheduling, sizeof(scheduling), 0);
  return scheduling;
}

bool KernelKnowsSlices() { return OwnScheduling().slice > 0; }

TEST_CASE("A nicer thread runs one task after the other and leaves its caller as it is",
          "[niceness]") {
  const int own = OwnNiceness();
  NicerThread thread("nicer", kNicest);
  std::thread::id last{};
  int nice = 0;
  bool gives_way = false;
  int runs = 0;
  for (int i = 0; i < 100; ++i) {
    thread.Run([&] {
      ++runs;
      last = std::this_thread::get_id();
      nice = OwnNiceness();
      gives_way = ThreadGivesWay();
    });
  }
  CHECK(runs == 100);
  CHECK(last != std::this_thread::get_id());
  CHECK(nice == static_cast<int>(kNicest));
  CHECK(gives_way == KernelKnowsSlices());
  CHECK(OwnNiceness() == own);
  CHECK_FALSE(ThreadGivesWay());
}

TEST_CASE("A nicer thread has longer slices than others, where the kernel knows slices",
          "[niceness]") {
  const Scheduling own = OwnScheduling();
  Scheduling nicer{};
  NicerThread thread("nicer", kNicest);
  thread.Run([&] { nicer = OwnScheduling(); });
  CHECK(nicer.policy == own.policy);
  if (KernelKnowsSlices()) CHECK(nicer.slice > own.slice);
  CHECK(OwnScheduling().slice == own.slice);
}

TEST_CASE("A nicer thread that was never needed ends", "[niceness]") {
  NicerThread thread("nicer", 0);
}

}  // namespace
}  // namespace tandem::worker
