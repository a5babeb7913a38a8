#include "backends/worker/nicer_thread.h"

#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "backends/worker/niceness.h"
#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

int OwnNiceness() { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); }

TEST_CASE("A nicer thread runs one task after the other and leaves its caller as it is",
          "[niceness]") {
  const int own = OwnNiceness();
  NicerThread thread("nicer", kNicest);
  std::thread::id last{};
  int nice = 0;
  int runs = 0;
  for (int i = 0; i < 100; ++i) {
    thread.Run([&] {
      ++runs;
      last = std::this_thread::get_id();
      nice = OwnNiceness();
    });
  }
  CHECK(runs == 100);
  CHECK(last != std::this_thread::get_id());
  CHECK(nice == static_cast<int>(kNicest));
  CHECK(OwnNiceness() == own);
}

TEST_CASE("A nicer thread that was never needed ends", "[niceness]") {
  NicerThread thread("nicer", 0);
}

}  // namespace
}  // namespace tandem::worker
