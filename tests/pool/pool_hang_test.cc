// Batches that take too long: which of them end their workers.
#include <sched.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/pool/cpu_waits.h"
#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using Kind = RecordedEvents::Kind;
using std::chrono::milliseconds;

// Keeps a core busy with so many threads.
class BusyCore {
 public:
  BusyCore(int core, int threads) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this, core] {
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(core, &only);
        sched_setaffinity(0, sizeof(only), &only);
        while (!ending_.load()) continue;
      });
    }
  }
  ~BusyCore() {
    ending_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> ending_{false};
  std::vector<std::thread> threads_;
};

int FirstCore() {
  cpu_set_t cores;
  sched_getaffinity(0, sizeof(cores), &cores);
  int first = 0;
  while (!CPU_ISSET(first, &cores)) ++first;
  return first;
}

TEST_CASE("A worker is ended for a batch that it holds, stopped or not, and not for another one",
          "[pool][fault]") {
  const bool stopped = GENERATE(false, true);
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1)));
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(2, "hang")));
  REQUIRE(scripted.RunAndAwait(4, 1, {1.0f}).status.ok());
  const pid_t pid = static_cast<pid_t>(scripted.pool.Status().at(0).pid);
  if (stopped) {
    REQUIRE(kill(pid, SIGSTOP) == 0);
    siginfo_t told;
    REQUIRE(waitid(P_PID, static_cast<id_t>(pid), &told, WSTOPPED | WNOWAIT) == 0);
  }
  REQUIRE(scripted.pool.Run(0, TestBatch(5, 2).Add({1.0f}).get()).ok());
  // Answered, and never given.
  const Overrun overrun{std::chrono::seconds(3), std::chrono::seconds(2)};
  for (const uint64_t wrong : {4u, 6u}) {
    scripted.pool.WatchBatch(0, wrong);
    scripted.pool.EndIfItHangs(0, wrong, overrun, "of the wrong batch");
  }
  scripted.pool.WatchBatch(0, 5);
  // As the router does; each look is a moment later.
  while (scripted.events.Count(Kind::kBatchDone, 5) == 0) {
    scripted.pool.EndIfItHangs(0, 5, overrun, "a batch took too long");
  }
  const BatchResult result = scripted.events.TakeResult(5);
  CHECK(result.status ==
        absl::UnavailableError(absl::StrCat(
            "worker test/0 died (killed by signal 9 (SIGKILL), since a batch took too long",
            stopped ? ", for it was stopped" : "", ") while it ran the request")));
  // Whoever stopped it is to blame, and not the batch.
  CHECK(result.death == (stopped ? WorkerDeath::kFromOutside : WorkerDeath::kHung));
  CHECK_FALSE(scripted.log.Holds("of the wrong batch"));
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2, 1));
  CHECK(scripted.RunAndAwait(7, 1, {2.0f}).status.ok());
}

TEST_CASE("A worker that works and gets no CPU is not taken to hang", "[pool][fault]") {
  PoolOptions options = ScriptedOptions();
  options.cores = {FirstCore()};
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "toil")));
  const pid_t pid = static_cast<pid_t>(scripted.pool.Status().at(0).pid);
  const BusyCore busy(FirstCore(), 4);
  const CpuWaits before = ReadCpuWaits(pid).value();
  REQUIRE(scripted.pool.Run(0, TestBatch(5, 1).Add({1.0f}).get()).ok());
  scripted.pool.WatchBatch(0, 5);
  Duration waited{0};
  while (waited < std::chrono::milliseconds(50) &&
         scripted.events.Count(Kind::kBatchDone, 5) == 0) {
    waited = LongestWait(before, ReadCpuWaits(pid).value_or(CpuWaits()));
  }
  REQUIRE(waited >= std::chrono::milliseconds(50));
  scripted.pool.EndIfItHangs(0, 5, {milliseconds(11), milliseconds(10)}, "a batch took too long");
  CHECK(scripted.events.TakeResult(5).status.ok());
  CHECK(scripted.pool.Status().at(0).restarts == 0);
}

TEST_CASE("A worker that turns in a loop is ended, at the latest after four budgets",
          "[pool][fault]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "spin")));
  REQUIRE(scripted.pool.Run(0, TestBatch(5, 1).Add({1.0f}).get()).ok());
  scripted.pool.EndIfItHangs(0, 5, {milliseconds(40), milliseconds(10)}, "a batch took too long");
  CHECK(scripted.events.TakeResult(5).death == WorkerDeath::kHung);
}

}  // namespace
}  // namespace tandem::testing
