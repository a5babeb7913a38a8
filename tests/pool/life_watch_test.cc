#include "backends/pool/life_watch.h"

#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{std::chrono::hours(1)};
constexpr uint64_t kLimit = uint64_t{8} << 20;

// A life that began at kStart, of a process whose state the test sets.
struct WatchedLife {
  bool stopped = false;
  uint64_t memory = 0;
  int memory_looks = 0;
  LifeWatch watch{kStart,
                  kLimit,
                  {[this] { return stopped; },
                   [this] {
                     ++memory_looks;
                     return memory;
                   }}};

  std::string Judge(Duration after, bool is_loading = false) {
    return watch.Judge(kStart + after, is_loading);
  }
};

TEST_CASE("A worker that says no hello is killed after its time", "[life]") {
  WatchedLife life;
  CHECK(life.Judge(LifeWatch::kHelloLimit - milliseconds(1)).empty());
  CHECK(life.Judge(LifeWatch::kHelloLimit) == "it did not say hello in time");
}

TEST_CASE("A worker that answers no ping is given up, but for a load, which has its own limit",
          "[life]") {
  WatchedLife life;
  CHECK_FALSE(life.watch.PingDue(kStart + seconds(50)).has_value());
  life.watch.OnHello(kStart);
  Duration after{0};
  for (int ping = 0; ping < Heartbeat::kMostMissed; ++ping) {
    after += Heartbeat::kInterval;
    CHECK(life.Judge(after).empty());
    CHECK(life.watch.PingDue(kStart + after).has_value());
    CHECK_FALSE(life.watch.PingDue(kStart + after).has_value());
  }
  after += Heartbeat::kInterval;
  CHECK(life.Judge(after, /*is_loading=*/true).empty());
  CHECK(life.Judge(after) == "it gave no sign of life");
  life.watch.OnPong(1);
  CHECK(life.Judge(after).empty());
}

TEST_CASE("A worker that is stopped at two looks on end is killed where pings do not tell it",
          "[life]") {
  WatchedLife life;
  life.stopped = true;
  CHECK(life.Judge(milliseconds(999)).empty());
  CHECK_FALSE(life.watch.was_stopped());
  CHECK(life.Judge(seconds(1)).empty());
  CHECK(life.watch.was_stopped());
  // Not a second look yet.
  CHECK(life.Judge(milliseconds(1999)).empty());
  SECTION("while it starts") {}
  SECTION("while it loads, with another look between") {
    life.stopped = false;
    CHECK(life.Judge(seconds(2)).empty());
    CHECK_FALSE(life.watch.was_stopped());
    life.stopped = true;
    life.watch.OnHello(kStart + seconds(2));
    CHECK(life.Judge(seconds(3)).empty());
    CHECK_FALSE(life.watch.was_stopped());
    CHECK(life.Judge(seconds(4), /*is_loading=*/true).empty());
  }
  CHECK(life.Judge(seconds(5), /*is_loading=*/true) ==
        "it was stopped while it started or loaded a model");
}

TEST_CASE("A worker's memory is looked at once an interval", "[life]") {
  WatchedLife life;
  life.memory = kLimit;
  CHECK(life.Judge(Duration(0)).empty());
  life.memory = kLimit + (uint64_t{1} << 20);
  CHECK(life.Judge(MemoryWatch::kInterval - milliseconds(1)).empty());
  CHECK(life.memory_looks == 1);
  CHECK(life.Judge(MemoryWatch::kInterval) == "it took 9 MiB of memory and its pool allows 8 MiB");
}

TEST_CASE("A worker's memory is looked at when asked, whatever the time", "[life]") {
  WatchedLife life;
  life.memory = kLimit;
  CHECK(life.Judge(Duration(0)).empty());
  CHECK(life.watch.JudgeMemory().empty());
  life.memory = kLimit + (uint64_t{1} << 20);
  CHECK(life.watch.JudgeMemory() == "it took 9 MiB of memory and its pool allows 8 MiB");
  CHECK(life.watch.excess() == "9 MiB of memory and its pool allows 8 MiB");
  life.memory = kLimit;
  CHECK(life.watch.JudgeMemory().empty());
  CHECK(life.watch.excess().empty());
}

TEST_CASE("A worker that is to end has until then, and the last word on it holds", "[life]") {
  WatchedLife life;
  life.watch.EndBy(kStart + seconds(1), "it closed its control socket");
  CHECK(life.Judge(milliseconds(999)).empty());
  CHECK(life.Judge(seconds(1)) == "it closed its control socket");
  life.watch.EndBy(kStart + seconds(3), "it did not end when asked");
  CHECK(life.Judge(seconds(2)).empty());
  CHECK(life.Judge(seconds(3)) == "it did not end when asked");
}

TEST_CASE("The next look is at what comes first", "[life]") {
  LifeWatch watch(kStart, 0, {[] { return false; }, [] { return uint64_t{0}; }});
  CHECK(watch.next(false) == kStart + LifeWatch::kStopLook);
  watch.OnHello(kStart);
  CHECK(watch.next(false) == kStart + Heartbeat::kInterval);
  CHECK(watch.next(true) == kStart + LifeWatch::kStopLook);
  watch.EndBy(kStart + milliseconds(5), "it did not end when asked");
  CHECK(watch.next(true) == kStart + milliseconds(5));
}

}  // namespace
}  // namespace tandem::testing
