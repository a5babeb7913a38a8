#include "backends/pool/worker.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using Kind = RecordedEvents::Kind;
using std::chrono::seconds;

// A worker without a supervisor thread: the test turns the time, and waits for what the process
// really does.
class ManualWorker {
 public:
  explicit ManualWorker(const std::string& program, uint64_t memory_limit_bytes = 0,
                        uint32_t lanes = 1)
      : options_(OptionsOf(program, memory_limit_bytes, lanes)),
        log_sink_(log.sink()),
        worker(Worker::Surroundings{options_, events, log_sink_, trials_, [] {}}, 0, 0) {}
  ~ManualWorker() {
    worker.Stop(now);
    TickUntil([this] { return worker.is_finished(); });
  }

  void Advance(Duration time) {
    now += time;
    worker.Tick(now);
  }
  // Ticks, at a time that stands still, whenever the process did something. False after many
  // events.
  template <typename Condition>
  bool TickUntil(Condition condition) {
    for (int i = 0; i < 1000; ++i) {
      worker.Tick(now);
      if (condition()) return true;
      std::array<pollfd, 2> polled = worker.Polled();
      poll(polled.data(), polled.size(), 20'000);
    }
    return false;
  }
  bool TickUntilReady() {
    return TickUntil([this] { return worker.Status().state == WorkerState::kReady; });
  }
  bool TickUntilGone() {
    return TickUntil([this] { return worker.Status().pid == 0; });
  }

  RecordedEvents events;
  RecordedLog log;
  TimePoint now{seconds(1000)};

 private:
  static PoolOptions OptionsOf(const std::string& program, uint64_t memory_limit_bytes,
                               uint32_t lanes) {
    PoolOptions options = ScriptedOptions(program);
    options.lanes = lanes;
    options.memory_limit_bytes = memory_limit_bytes;
    return options;
  }

  const PoolOptions options_;
  LoadTrials trials_;
  const LogSink log_sink_;

 public:
  Worker worker;
};

TEST_CASE("A worker that does not say hello within its limit is killed", "[worker]") {
  ManualWorker manual("tandem_scripted_worker_silent");
  manual.Advance(seconds(0));
  REQUIRE(manual.worker.Status().pid > 0);
  manual.Advance(LifeWatch::kHelloLimit - seconds(1));
  CHECK(manual.worker.Status().pid > 0);
  CHECK(manual.worker.NextDeadline() == manual.now + seconds(1));
  CHECK(!manual.worker.first_start().has_value());
  manual.Advance(seconds(1));
  REQUIRE(manual.TickUntilGone());
  CHECK(manual.worker.Status().last_exit ==
        "killed by signal 9 (SIGKILL), since it did not say hello in time");
  CHECK(!manual.worker.first_start()->ok());
}

TEST_CASE("A first start goes on through signals before the hello, but not for ever", "[worker]") {
  ManualWorker manual("tandem_scripted_worker_silent");
  manual.Advance(seconds(0));
  for (int death = 1; death <= Worker::kMostEarlyDeaths + 1; ++death) {
    REQUIRE(!manual.worker.first_start().has_value());
    const auto pid = static_cast<pid_t>(manual.worker.Status().pid);
    REQUIRE(pid > 0);
    REQUIRE(kill(pid, death == 1 ? SIGSEGV : SIGKILL) == 0);
    REQUIRE(manual.TickUntilGone());
    manual.Advance(manual.worker.NextDeadline() - manual.now);
    CHECK(manual.worker.Status().restarts == static_cast<uint64_t>(death));
  }
  REQUIRE(manual.worker.first_start().has_value());
  CHECK(*manual.worker.first_start() ==
        absl::FailedPreconditionError(
            "worker test/0 ended before it was ready (killed by signal 9 (SIGKILL), the 4th time); "
            "its own messages say why"));
  CHECK(
      manual.log.Holds("ended before it was ready: killed by signal 11 (SIGSEGV); it is started"));
}

TEST_CASE("A first start is over when the worker is stopped, also between two processes",
          "[worker]") {
  ManualWorker manual("tandem_scripted_worker_silent");
  manual.Advance(seconds(0));
  REQUIRE(kill(static_cast<pid_t>(manual.worker.Status().pid), SIGKILL) == 0);
  REQUIRE(manual.TickUntilGone());
  REQUIRE(!manual.worker.first_start().has_value());
  manual.worker.Stop(manual.now);
  CHECK(absl::IsCancelled(manual.worker.first_start().value()));
}

TEST_CASE("A worker that answers pings lives on", "[worker]") {
  ManualWorker manual("tandem_scripted_worker");
  REQUIRE(manual.TickUntilReady());
  for (int i = 0; i < 10; ++i) {
    manual.Advance(Heartbeat::kInterval);
    std::array<pollfd, 2> polled = manual.worker.Polled();
    REQUIRE(poll(polled.data(), polled.size(), 20'000) == 1);
    manual.worker.Tick(manual.now);
  }
  CHECK(manual.worker.Status().restarts == 0);
  CHECK(manual.worker.Status().pid > 0);
}

TEST_CASE("A stopped worker is killed when three pings have had no answer", "[worker]") {
  ManualWorker manual("tandem_scripted_worker");
  REQUIRE(manual.TickUntilReady());
  REQUIRE(kill(static_cast<pid_t>(manual.worker.Status().pid), SIGSTOP) == 0);
  for (int i = 0; i < Heartbeat::kMostMissed; ++i) manual.Advance(Heartbeat::kInterval);
  CHECK(!manual.log.Holds("is killed"));
  manual.Advance(Heartbeat::kInterval);
  REQUIRE(manual.TickUntilGone());
  CHECK(manual.log.Holds("it gave no sign of life"));
  CHECK(manual.events.Count(Kind::kLaneDown) == 1);
}

TEST_CASE("What runs beside a batch that hangs, as long as that, may be what it waits for",
          "[worker]") {
  ManualWorker manual("tandem_scripted_worker", 0, 2);
  RecordedEvents& events = manual.events;
  manual.worker.Load(ScriptedModel(1, "hang"));
  REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelReady, 1) == 2; }));
  const bool is_beside = GENERATE(true, false);
  if (is_beside) REQUIRE(manual.worker.Run(1, TestBatch(6, 1).Add({1.0f}).get()).ok());
  for (const uint64_t id : {5u, 7u}) {
    REQUIRE(manual.worker.Run(0, TestBatch(id, 1).Add({1.0f}).get()).ok());
  }
  manual.worker.WatchBatch(0, 5);
  // The router may not know that the lane came to another one first.
  const uint64_t told = GENERATE(5u, 7u);
  manual.worker.EndIfItHangs(0, told, {seconds(9), seconds(2)}, "a batch took too long");
  REQUIRE(manual.TickUntilGone());
  CHECK(events.TakeResult(5).death ==
        (is_beside ? WorkerDeath::kHungTogether : WorkerDeath::kHung));
  CHECK(events.TakeResult(7).death == WorkerDeath::kForAnother);
  if (is_beside) CHECK(events.TakeResult(6).death == WorkerDeath::kHungTogether);
}

TEST_CASE("A load that never ends is told of, ends its worker at the limit, and is not tried again",
          "[worker]") {
  ManualWorker manual("tandem_scripted_worker");
  RecordedEvents& events = manual.events;
  manual.worker.Load(ScriptedModel(1, "hang"));
  manual.worker.Load(ScriptedModel(2, "echo", "hang"));
  REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelReady, 1) == 1; }));
  REQUIRE(manual.worker.Run(0, TestBatch(5, 1).Add({1.0f}).get()).ok());
  manual.Advance(LoadWatch::kSlow - seconds(1));
  CHECK(!manual.log.Holds("still loading"));
  manual.Advance(seconds(1));
  CHECK(manual.log.Holds("worker test/0 is still loading model scripted version 1 after 30 s"));
  manual.Advance(PoolOptions().load_timeout - LoadWatch::kSlow - seconds(1));
  CHECK(!manual.log.Holds("is killed"));
  manual.Advance(seconds(1));
  REQUIRE(manual.TickUntilGone());
  CHECK(manual.log.Holds("it took too long to load a model"));
  // The batch is not to blame.
  CHECK(events.TakeResult(5).death == WorkerDeath::kFromOutside);
  const std::string reason = "its load did not end within the 10m that --load-timeout allows";
  REQUIRE(events.Count(Kind::kModelFailed, 2) == 1);
  CHECK(events.Last(Kind::kModelFailed).status.message() == reason);
  // The wait was long enough.
  CHECK(manual.worker.NextDeadline() <= manual.now + RestartBackoff::kFirst);
  manual.Advance(RestartBackoff::kFirst);
  REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelReady, 1) == 2; }));
  REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelFailed, 2) == 2; }));
  CHECK(events.Last(Kind::kModelFailed).status.message() == reason + ", so it is left out");
}

TEST_CASE("A signal from outside during a load is not told as the model's failure", "[worker]") {
  ManualWorker manual("tandem_scripted_worker");
  RecordedEvents& events = manual.events;
  manual.worker.Load(ScriptedModel(1));
  manual.worker.Load(ScriptedModel(2, "echo", "hang"));
  for (size_t life = 1; life <= LoadTrials::kMostSignals; ++life) {
    REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelReady, 1) == life; }));
    CHECK(events.Count(Kind::kModelFailed) == 0);
    REQUIRE(kill(static_cast<pid_t>(manual.worker.Status().pid), SIGKILL) == 0);
    REQUIRE(manual.TickUntilGone());
    manual.Advance(RestartBackoff::kLongest);
  }
  // So many in a row are no chance any more.
  CHECK(events.Count(Kind::kModelFailed, 2) >= 1);
  CHECK(events.Count(Kind::kModelFailed, 1) == 0);
}

TEST_CASE("A load whose model is removed ends its worker soon, with blame on nobody", "[worker]") {
  ManualWorker manual("tandem_scripted_worker");
  RecordedEvents& events = manual.events;
  manual.worker.Load(ScriptedModel(1, "hang"));
  manual.worker.Load(ScriptedModel(2, "echo", "hang"));
  REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelReady, 1) == 1; }));
  REQUIRE(manual.worker.Run(0, TestBatch(5, 1).Add({1.0f}).get()).ok());
  manual.Advance(seconds(3));
  manual.worker.Unload(2, manual.now);
  manual.Advance(LoadWatch::kUnwantedGrace - Duration(1));
  CHECK(!manual.log.Holds("is killed"));
  manual.Advance(Duration(1));
  REQUIRE(manual.TickUntilGone());
  CHECK(manual.log.Holds("it still loaded a model that was removed"));
  CHECK(events.TakeResult(5).death == WorkerDeath::kFromOutside);
  CHECK(manual.worker.NextDeadline() <= manual.now + RestartBackoff::kFirst);
  manual.Advance(RestartBackoff::kFirst);
  REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelReady, 1) == 2; }));
  CHECK(events.Count(Kind::kModelFailed) == 0);
}

TEST_CASE(
    "A model with which the worker has too much memory is left out, and no request is to blame",
    "[worker]") {
  const std::string load = GENERATE("eat", "eat_and_fail");
  ManualWorker manual("tandem_scripted_worker", uint64_t{256} << 20);
  RecordedEvents& events = manual.events;
  manual.worker.Load(ScriptedModel(1, "hang"));
  manual.worker.Load(ScriptedModel(2, "echo", load));
  const std::string reason = " MiB of memory and its pool allows 256 MiB";
  for (uint64_t life = 1; life <= 2; ++life) {
    // The time stands still from the worker's start on, so that nothing but the end of the load has
    // its memory looked at.
    REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelReady, 1) == life; }));
    REQUIRE(manual.worker.Run(0, TestBatch(life, 1).Add({1.0f}).get()).ok());
    REQUIRE(manual.TickUntilGone());
    CHECK(events.TakeResult(life).death == WorkerDeath::kFromOutside);
    CHECK(events.Count(Kind::kModelReady, 2) == 0);
    REQUIRE(events.Count(Kind::kModelFailed, 2) == life);
    const std::string told(events.Last(Kind::kModelFailed).status.message());
    CHECK(told.starts_with("with it the worker holds "));
    CHECK(told.ends_with(reason));
    manual.Advance(manual.worker.NextDeadline() - manual.now);
  }
  REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelFailed, 2) == 3; }));
  const std::string told(events.Last(Kind::kModelFailed).status.message());
  CHECK(told.ends_with(reason + ", so it is left out"));
  REQUIRE(manual.TickUntil([&] { return events.Count(Kind::kModelReady, 1) == 3; }));
  CHECK(manual.worker.Status().restarts == 2);
}

TEST_CASE("A worker that is stopped while it loads a model is killed soon", "[worker]") {
  ManualWorker manual("tandem_scripted_worker");
  REQUIRE(manual.TickUntilReady());
  manual.worker.Load(ScriptedModel(1, "echo", "hang"));
  manual.Advance(seconds(1));
  const auto pid = static_cast<id_t>(manual.worker.Status().pid);
  REQUIRE(kill(static_cast<pid_t>(pid), SIGSTOP) == 0);
  siginfo_t stopped;
  REQUIRE(waitid(P_PID, pid, &stopped, WSTOPPED | WNOWAIT) == 0);
  manual.Advance(seconds(1));
  CHECK(!manual.log.Holds("is killed"));
  manual.Advance(seconds(1));
  REQUIRE(manual.TickUntilGone());
  CHECK(manual.log.Holds("it was stopped while it started or loaded a model"));
}

TEST_CASE("A worker that closes its control socket has a moment to die, and is then killed",
          "[worker]") {
  ManualWorker manual("tandem_scripted_worker");
  REQUIRE(manual.TickUntilReady());
  manual.worker.Load(ScriptedModel(1, "echo", "close_socket"));
  REQUIRE(manual.TickUntil([&manual] { return manual.worker.Polled()[1].fd < 0; }));
  CHECK(manual.worker.Status().pid > 0);
  CHECK(manual.worker.NextDeadline() == manual.now + seconds(1));
  manual.Advance(seconds(1));
  REQUIRE(manual.TickUntilGone());
  CHECK(manual.log.Holds("it closed its control socket"));
}

TEST_CASE("A dead worker is started again after its back-off", "[worker]") {
  ManualWorker manual("tandem_scripted_worker");
  REQUIRE(manual.TickUntilReady());
  REQUIRE(kill(static_cast<pid_t>(manual.worker.Status().pid), SIGKILL) == 0);
  REQUIRE(manual.TickUntilGone());
  const TimePoint restart = manual.worker.NextDeadline();
  CHECK(restart >= manual.now + RestartBackoff::kFirst / 2);
  CHECK(restart <= manual.now + RestartBackoff::kFirst);
  manual.Advance(restart - manual.now - Duration(1));
  CHECK(manual.worker.Status().pid == 0);
  CHECK(manual.worker.Status().state == WorkerState::kRestarting);
  manual.Advance(Duration(1));
  CHECK(manual.worker.Status().pid > 0);
  REQUIRE(manual.TickUntilReady());
  CHECK(manual.worker.Status().restarts == 1);
}

}  // namespace
}  // namespace tandem::testing
