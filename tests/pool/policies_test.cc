// The pool's small decisions, which need no process.
#include <unistd.h>

#include <csignal>
#include <vector>

#include "backends/pool/cpu_waits.h"
#include "backends/pool/hang_judge.h"
#include "backends/pool/heartbeat.h"
#include "backends/pool/memory_watch.h"
#include "backends/pool/restart_backoff.h"
#include "backends/pool/worker_exit.h"
#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kNow{std::chrono::hours(1)};

TEST_CASE(
    "The back-off doubles from 0.1 s to 30 s, with jitter, and starts anew after 10 s of health",
    "[backoff]") {
  RestartBackoff backoff(1);
  Duration step = milliseconds(100);
  for (int death = 0; death < 20; ++death) {
    const Duration wait = backoff.Next(milliseconds(900), true);
    CHECK(wait >= step / 2);
    CHECK(wait <= step);
    step = std::min<Duration>(step * 2, seconds(30));
  }
  CHECK(step == seconds(30));
  CHECK(backoff.Next(seconds(10), true) <= milliseconds(100));
  CHECK(backoff.Next(seconds(0), true) > milliseconds(99));
}

TEST_CASE("A worker that served is away for no more than a quarter of that time", "[backoff]") {
  RestartBackoff backoff(1);
  for (int crash = 0; crash < 10; ++crash) backoff.Next(seconds(0), true);
  CHECK(backoff.Next(seconds(8), true) <= seconds(2));
  CHECK(backoff.Next(seconds(1), true) <= milliseconds(250));
  // And it is no loop any more: the waits grow from there.
  CHECK(backoff.Next(seconds(0), true) <= milliseconds(500));
  CHECK(backoff.Next(seconds(0), true) >= milliseconds(500));
}

TEST_CASE("Crashes every few seconds never add up to a long absence", "[backoff]") {
  RestartBackoff backoff(1);
  for (int crash = 0; crash < 200; ++crash) {
    // Now and then two or three follow each other at once.
    const Duration served = crash % 7 < 2 ? milliseconds(20) : milliseconds(1500);
    CHECK(backoff.Next(served, true) <= seconds(2));
  }
}

TEST_CASE("Where the cause of the crashes is gone the back-off starts anew", "[backoff]") {
  RestartBackoff backoff(1);
  for (int crash = 0; crash < 10; ++crash) backoff.Next(seconds(0), true);
  backoff.Reset();
  CHECK(backoff.Next(seconds(0), true) <= milliseconds(100));
}

TEST_CASE("After deaths that are no crash the back-off stays within 0.2 s", "[backoff]") {
  RestartBackoff backoff(1);
  Duration longest{0};
  for (int death = 0; death < 100; ++death) {
    const Duration wait = backoff.Next(seconds(0), false);
    CHECK(wait >= milliseconds(50));
    CHECK(wait <= RestartBackoff::kLongestWithoutCrash);
    longest = std::max(longest, wait);
  }
  CHECK(longest > milliseconds(100));
}

TEST_CASE("Deaths that are no crash neither end a crash loop nor lengthen its back-off",
          "[backoff]") {
  RestartBackoff backoff(1);
  // The next step is 3.2 s.
  for (int crash = 0; crash < 5; ++crash) backoff.Next(seconds(0), true);
  for (int death = 0; death < 10; ++death) {
    CHECK(backoff.Next(seconds(0), false) <= RestartBackoff::kLongestWithoutCrash);
  }
  const Duration wait = backoff.Next(seconds(0), true);
  CHECK(wait >= milliseconds(1600));
  CHECK(wait <= milliseconds(3200));
}

TEST_CASE("Workers that die together do not start together", "[backoff]") {
  CHECK(RestartBackoff(1).Next(seconds(0), true) != RestartBackoff(2).Next(seconds(0), true));
}

TEST_CASE("A heartbeat is due every interval and lost after three without an answer",
          "[heartbeat]") {
  const TimePoint start{seconds(100)};
  Heartbeat heartbeat(start);
  CHECK(!heartbeat.Due(start + seconds(4)).has_value());
  CHECK(heartbeat.Due(start + seconds(5)) == 1);
  CHECK(!heartbeat.Due(start + seconds(5)).has_value());
  CHECK(heartbeat.Due(start + seconds(10)) == 2);
  // An answer to a ping that was never sent is none.
  heartbeat.OnPong(9);
  CHECK(heartbeat.Due(start + seconds(15)) == 3);
  CHECK(!heartbeat.IsLost(start + seconds(19)));
  CHECK(heartbeat.IsLost(start + seconds(20)));
  heartbeat.OnPong(1);
  CHECK(!heartbeat.IsLost(start + seconds(20)));
}

TEST_CASE("A worker's memory is looked at once an interval, and only where there is a limit",
          "[memory]") {
  const TimePoint start{seconds(100)};
  MemoryWatch none(0);
  CHECK_FALSE(none.IsDue(start));
  CHECK(none.next() == kNever);
  CHECK(none.Judge(uint64_t{1} << 60).empty());
  MemoryWatch watch(uint64_t{512} << 20);
  CHECK(watch.IsDue(start));
  CHECK_FALSE(watch.IsDue(start + MemoryWatch::kInterval - Duration(1)));
  CHECK(watch.IsDue(watch.next()));
  CHECK(watch.Judge(uint64_t{512} << 20).empty());
  CHECK(watch.Judge(uint64_t{700} << 20) == "700 MiB of memory and its pool allows 512 MiB");
}

TEST_CASE("Time without a CPU does not count against a batch, up to four budgets", "[hang]") {
  using Verdict = HangJudge::Verdict;
  HangJudge judge;
  const CpuWaits before{{1, seconds(100)}, {2, seconds(5)}};
  judge.Watch(0, 7, kNow, before);
  const auto verdict = [&](Duration ran, Duration waited) {
    // Watched from a second after its start.
    const CpuWaits after{{1, seconds(100)}, {2, seconds(5) + waited}, {3, waited / 2}};
    return judge.Judge(0, 7, kNow + ran - seconds(1), after, {ran, seconds(10)});
  };
  // Asleep, stopped, or in a loop with a CPU for itself.
  CHECK(verdict(seconds(10), seconds(0)) == Verdict::kHangs);
  CHECK(verdict(seconds(11), milliseconds(100)) == Verdict::kHangs);
  // It had a CPU for half of the time.
  CHECK(verdict(seconds(11), seconds(5)) == Verdict::kWaits);
  CHECK(verdict(seconds(19), seconds(9)) == Verdict::kWaits);
  CHECK(verdict(seconds(21), seconds(10)) == Verdict::kHangs);
  // It has had none, and cannot wait for ever.
  CHECK(verdict(seconds(39), seconds(38)) == Verdict::kWaits);
  CHECK(verdict(seconds(40), seconds(39)) == Verdict::kHangs);
}

TEST_CASE("A batch that nobody watched is judged at the second look", "[hang]") {
  using Verdict = HangJudge::Verdict;
  HangJudge judge;
  const Overrun overrun{milliseconds(200), milliseconds(100)};
  judge.Watch(0, 6, kNow, CpuWaits{{1, seconds(1)}});
  CHECK(judge.Judge(0, 7, kNow, CpuWaits{{1, seconds(1)}}, overrun) == Verdict::kUnknown);
  CHECK(judge.Judge(0, 7, kNow + milliseconds(250), CpuWaits{{1, seconds(1)}}, overrun) ==
        Verdict::kHangs);
  CHECK(judge.Judge(0, 7, kNow + milliseconds(250), CpuWaits{{1, milliseconds(1200)}}, overrun) ==
        Verdict::kWaits);
  // Where the kernel does not tell, time is all there is.
  CHECK(judge.Judge(1, 8, kNow, std::nullopt, overrun) == Verdict::kHangs);
}

TEST_CASE("What hangs may wait for what runs beside it for as long, and not for what came later",
          "[hang]") {
  const std::map<uint32_t, Duration> ran{
      {0, seconds(10)}, {1, milliseconds(4999)}, {2, seconds(5)}, {4, seconds(60)}};
  CHECK(LanesThatMayHang(ran, 0) == std::set<uint32_t>{0, 2, 4});
  CHECK(LanesThatMayHang(ran, 4) == std::set<uint32_t>{4});
  // It has ended meanwhile.
  CHECK(LanesThatMayHang(ran, 3).empty());
}

TEST_CASE("A thread that stands behind others on its core waits", "[hang]") {
  CHECK(ReadCpuWaits(getpid()).has_value());
  // No process has that number.
  CHECK_FALSE(ReadCpuWaits(1 << 30).has_value());
}

TEST_CASE("A process's own memory grows by what it writes", "[memory]") {
  const uint64_t before = OwnMemory(getpid()).value();
  const std::vector<char> taken(size_t{64} << 20, 'x');
  CHECK(OwnMemory(getpid()).value() >= before + (uint64_t{60} << 20));
  CHECK(taken.back() == 'x');
  // No process has that number.
  CHECK_FALSE(OwnMemory(1 << 30).has_value());
}

TEST_CASE("Only a signal that anybody may send tells nothing of what the worker did",
          "[worker_exit]") {
  CHECK(WasSignalled({.code = 0, .signal = SIGKILL}));
  CHECK(WasSignalled({.code = 0, .signal = SIGTERM}));
  CHECK_FALSE(WasSignalled({.code = 0, .signal = SIGSEGV}));
  CHECK_FALSE(WasSignalled({.code = 0, .signal = SIGABRT}));
  CHECK_FALSE(WasSignalled({.code = 3, .signal = 0}));
  CHECK_FALSE(WasSignalled({.code = 0, .signal = 0}));
}

}  // namespace
}  // namespace tandem::testing
