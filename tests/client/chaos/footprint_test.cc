#include "client/chaos/footprint.h"

#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

TEST_CASE("A process's descriptors, threads and memory are seen to grow", "[chaos]") {
  const auto before = ReadFootprint(getpid());
  REQUIRE(before.has_value());
  CHECK(before->resident_bytes > 0);
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::mutex mutex;
  std::condition_variable changed;
  bool may_end = false;
  std::thread thread([&] {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return may_end; });
  });
  const std::string memory(20'000'000, 'x');
  const auto after = ReadFootprint(getpid());
  {
    const std::lock_guard lock(mutex);
    may_end = true;
  }
  changed.notify_all();
  thread.join();
  close(fd);
  REQUIRE(after.has_value());
  const Footprint growth = Growth(*before, *after);
  CHECK(growth.descriptors == 1);
  CHECK(growth.threads == 1);
  CHECK(growth.resident_bytes > 15'000'000);
  CHECK(memory.back() == 'x');
}

TEST_CASE("A process that is not there has no footprint and no parent", "[chaos]") {
  // Beyond the largest process id that Linux gives.
  constexpr pid_t kNobody = 1 << 23;
  CHECK(!ReadFootprint(kNobody).has_value());
  CHECK(ParentOf(kNobody) == 0);
  CHECK(!IsWorker(kNobody));
}

TEST_CASE("The parent of this process is known, and that it is no worker", "[chaos]") {
  CHECK(ParentOf(getpid()) == getppid());
  CHECK(!IsWorker(getpid()));
}

}  // namespace
}  // namespace tandem::client
