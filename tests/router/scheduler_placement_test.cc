#include "absl/strings/match.h"
#include "core/retry_hint.h"
#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr uint32_t kCpuPool = 0;
constexpr uint32_t kGpuPool = 1;

// A model on a CPU pool of one lane that takes 10 ms, and a GPU pool of one lane that takes 1 ms.
struct TwoPools : ScheduleBench {
  explicit TwoPools(PlacementMode placement = PlacementMode::kAuto)
      : ScheduleBench({{PoolKind::kCpu, 1}, {PoolKind::kGpu, 1}}) {
    ModelConfig config = BatchingModel();
    config.on_gpu = true;
    config.dynamic_batching = false;
    config.placement = placement;
    model = Add(config);
  }
  void SubmitWithin(Duration time) {
    auto request = Queued(now);
    request->request->deadline = now + time;
    Submit(model, std::move(request));
  }
  void TeachBoth() {
    Teach(model, PoolPreference::kCpu, milliseconds(10));
    Teach(model, PoolPreference::kGpu, milliseconds(1));
  }
  uint32_t model = 0;
};

TEST_CASE("Both pools are tried before either is preferred", "[scheduler][placement]") {
  TwoPools bench;
  bench.Submit(bench.model);
  bench.Submit(bench.model);
  const auto starts = bench.Starts();
  REQUIRE(starts.size() == 2);
  CHECK(starts[0]->lane.pool != starts[1]->lane.pool);
}

TEST_CASE("With both pools idle the faster one runs the request", "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  for (int i = 0; i < 5; ++i) {
    bench.Submit(bench.model);
    const ScheduledBatch* batch = bench.Start();
    REQUIRE(batch != nullptr);
    CHECK(batch->lane.pool == kGpuPool);
    bench.now += milliseconds(1);
    bench.End(batch);
  }
}

TEST_CASE("The slower pool stays idle while the faster one answers sooner",
          "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  for (int i = 0; i < 10; ++i) bench.Submit(bench.model);
  CHECK(bench.Starts().size() == 1);
  CHECK(bench.scheduler.queued(bench.model) == 9);
}

TEST_CASE("The slower pool takes the most urgent request once the line is long",
          "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  std::vector<ScheduledBatch*> starts;
  int submitted = 0;
  while (starts.size() < 2 && submitted < 20) {
    bench.Submit(bench.model);
    ++submitted;
    for (ScheduledBatch* start : bench.Starts()) starts.push_back(start);
  }
  REQUIRE(starts.size() == 2);
  CHECK(starts[0]->lane.pool == kGpuPool);
  CHECK(starts[1]->lane.pool == kCpuPool);
  // One runs on the GPU pool, which will have answered the nine behind the second one in 10 ms.
  CHECK(submitted == 11);
  CHECK(starts[1]->members[0]->sequence - starts[0]->members[0]->sequence == 1);
}

TEST_CASE("A request that names a kind of pool runs there", "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  bench.Submit(bench.model, 1, PoolPreference::kCpu);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane.pool == kCpuPool);
  bench.Submit(bench.model, 1, PoolPreference::kCpu);
  CHECK(bench.Starts().empty());
}

TEST_CASE("The slower pool takes over when the faster one goes", "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  bench.Submit(bench.model);
  const ScheduledBatch* running = bench.Start();
  bench.Submit(bench.model);
  CHECK(bench.Starts().empty());
  bench.scheduler.BatchEnded(bench.now, running->lane, running->batch.id, false, bench.actions);
  ScheduledBatch* retried = bench.Start();
  REQUIRE(retried != nullptr);
  bench.scheduler.BatchNotStarted(bench.now, retried->lane, retried->batch.id,
                                  absl::UnavailableError("gone"), bench.actions);
  bench.scheduler.LaneDown(bench.now, {kGpuPool, 0}, bench.actions);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane.pool == kCpuPool);
  CHECK(bench.actions.refusals.empty());
}

TEST_CASE("The slower pool helps where the faster one is late", "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  const uint32_t other = [&] {
    ModelConfig config = BatchingModel("long");
    config.on_cpu = false;
    config.on_gpu = true;
    return bench.Add(config);
  }();
  bench.Teach(other, PoolPreference::kAny, milliseconds(100));
  bench.Submit(other);
  CHECK(bench.Starts().size() == 1);
  // The GPU pool's lane is taken for 100 ms by another model.
  bench.Submit(bench.model);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane.pool == kCpuPool);
}

TEST_CASE(
    "What waits for a lane that seems to hang is helped, and not for one that is a little late",
    "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  for (int i = 0; i < 3; ++i) bench.Submit(bench.model);
  const ScheduledBatch* hanging = bench.Start();
  REQUIRE(hanging != nullptr);
  REQUIRE(hanging->lane.pool == kGpuPool);
  // Of a batch of 1 ms: late by 2 ms, and expected to be so by as much again.
  bench.now += milliseconds(3);
  bench.scheduler.Tick(bench.now, bench.actions);
  CHECK(bench.Starts().empty());
  bench.now += Scheduler::kSweepInterval;
  bench.scheduler.Tick(bench.now, bench.actions);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane.pool == kCpuPool);
  // Nor is a lane that hangs counted for those that come.
  bench.SubmitWithin(milliseconds(15));
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(absl::IsDeadlineExceeded(bench.actions.refusals[0].status));
}

TEST_CASE("Lanes that will not be given a batch are none to wait for", "[scheduler][placement]") {
  // A CPU pool of two lanes and one worker, and a GPU pool that takes five times as long.
  ScheduleBench bench({{PoolKind::kCpu, 2}, {PoolKind::kGpu, 1}});
  ModelConfig config = BatchingModel();
  config.on_gpu = true;
  config.dynamic_batching = false;
  const uint32_t model = bench.Add(config);
  bench.Teach(model, PoolPreference::kCpu, milliseconds(2));
  bench.Teach(model, PoolPreference::kGpu, milliseconds(10));
  const uint32_t other = bench.Add(BatchingModel("other"));
  SECTION("since their worker is held for a suspect") {
    for (int i = 0; i < 2; ++i) bench.Submit(other);
    for (const ScheduledBatch* batch : bench.Starts()) bench.Die(batch, WorkerDeath::kFromInside);
    bench.now += Scheduler::kLongestSparing;
    for (const uint32_t lane : {0u, 1u}) {
      bench.Revive(other, {kCpuPool, lane});
      bench.scheduler.SetRunnable(bench.now, model, {kCpuPool, lane}, true, bench.actions);
    }
    const ScheduledBatch* trial = bench.Start();
    REQUIRE(trial != nullptr);
    REQUIRE(trial->is_trial);
  }
  SECTION("since the model hung and has its half of them") {
    bench.Submit(model, 1, PoolPreference::kCpu);
    bench.Die(bench.Start(), WorkerDeath::kHung);
    for (const uint32_t lane : {0u, 1u}) bench.Revive(model, {kCpuPool, lane});
    REQUIRE(bench.Start() != nullptr);
    bench.now += milliseconds(50);
  }
  bench.Submit(model);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane.pool == kGpuPool);
}

TEST_CASE("Who waits for a lane that hangs is helped as soon as that is sooner",
          "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  for (int i = 0; i < 3; ++i) bench.Submit(bench.model);
  const TimePoint start = bench.now;
  bool is_helped = false;
  while (!is_helped && bench.now < start + seconds(1)) {
    bench.now = bench.scheduler.NextWakeup();
    bench.scheduler.Tick(bench.now, bench.actions);
    for (const ScheduledBatch* batch : bench.Starts()) is_helped |= batch->lane.pool == kCpuPool;
  }
  CHECK(is_helped);
  // The GPU pool's two should have ended after 2 ms. From 10 ms after that on it is expected to be
  // later than the CPU pool, which takes so long.
  CHECK(bench.now >= start + milliseconds(10));
  CHECK(bench.now <= start + milliseconds(18));
}

TEST_CASE("A deadline is not held against less urgent requests of other models",
          "[scheduler][deadline]") {
  TwoPools bench;
  bench.TeachBoth();
  ModelConfig config = BatchingModel("other");
  config.on_gpu = true;
  config.dynamic_batching = false;
  const uint32_t other = bench.Add(config);
  bench.Teach(other, PoolPreference::kCpu, milliseconds(10));
  bench.Teach(other, PoolPreference::kGpu, milliseconds(10));
  for (int i = 0; i < 200; ++i) bench.Submit(other);
  bench.Starts();
  bench.SubmitWithin(milliseconds(60));
  bench.SubmitWithin(milliseconds(60));
  CHECK(bench.actions.refusals.empty());
  // Of those that go before it each pool has half.
  for (int i = 0; i < 8; ++i) {
    auto urgent = Queued(bench.now);
    urgent->request->deadline = bench.now + milliseconds(59);
    bench.Submit(other, std::move(urgent));
  }
  CHECK(bench.actions.refusals.empty());
  bench.SubmitWithin(milliseconds(60));
  CHECK(bench.actions.refusals.empty());
  bench.SubmitWithin(milliseconds(40));
  REQUIRE(bench.actions.refusals.empty());
}

TEST_CASE("The reason tells why a request runs on its pool", "[scheduler][placement]") {
  TwoPools bench;
  bench.Submit(bench.model);
  CHECK(bench.Start()->reason == PlacementReason::kLearning);
  TwoPools taught;
  taught.TeachBoth();
  for (int i = 0; i < 20; ++i) taught.Submit(taught.model);
  const auto starts = taught.Starts();
  REQUIRE(starts.size() == 2);
  CHECK(starts[0]->reason == PlacementReason::kFirstChoice);
  CHECK(starts[1]->reason == PlacementReason::kSooner);
}

TEST_CASE("A preferred pool is helped only where it would miss deadlines",
          "[scheduler][placement]") {
  // The CPU pool is the slower one by far, and the preferred one.
  TwoPools bench(PlacementMode::kPreferCpu);
  bench.TeachBoth();
  for (int i = 0; i < 20; ++i) bench.Submit(bench.model);
  auto starts = bench.Starts();
  REQUIRE(starts.size() == 1);
  CHECK(starts[0]->lane.pool == kCpuPool);
  CHECK(starts[0]->reason == PlacementReason::kFirstChoice);
  TwoPools hurried(PlacementMode::kPreferCpu);
  hurried.TeachBoth();
  for (int i = 0; i < 4; ++i) hurried.SubmitWithin(milliseconds(25));
  starts = hurried.Starts();
  REQUIRE(starts.size() == 2);
  CHECK(starts[1]->lane.pool == kGpuPool);
  CHECK(starts[1]->reason == PlacementReason::kDeadline);
}

TEST_CASE("Each request that a preferred pool would make late is helped, and no other",
          "[scheduler][placement]") {
  TwoPools bench(PlacementMode::kPreferCpu);
  bench.TeachBoth();
  for (int i = 0; i < 3; ++i) bench.SubmitWithin(milliseconds(25));
  // They are less urgent, and have time.
  bench.Submit(bench.model);
  bench.SubmitWithin(seconds(5));
  auto starts = bench.Starts();
  REQUIRE(starts.size() == 2);
  CHECK(starts[0]->lane.pool == kCpuPool);
  // The CPU pool has done two by then.
  CHECK(starts[1]->lane.pool == kGpuPool);
  CHECK(starts[1]->members[0]->sequence == starts[0]->members[0]->sequence + 2);
  bench.now += milliseconds(1);
  bench.End(starts[1]);
  CHECK(bench.Starts().empty());
}

TEST_CASE("A fallback counts for a request only where it would run it", "[scheduler][deadline]") {
  TwoPools bench(PlacementMode::kFallback);
  bench.TeachBoth();
  // The GPU pool, alone, does as many by then.
  for (int i = 0; i < 30; ++i) bench.SubmitWithin(milliseconds(20));
  CHECK(bench.Starts().size() == 1);
  CHECK(bench.scheduler.queued(bench.model) + 1 <= 20);
  // One that names the pool is not its concern.
  bench.actions.refusals.clear();
  bench.Submit(bench.model, 1, PoolPreference::kCpu);
  const ScheduledBatch* asked = bench.Start();
  REQUIRE(asked != nullptr);
  CHECK(asked->lane.pool == kCpuPool);
}

TEST_CASE("A fallback runs only while no GPU pool can", "[scheduler][placement]") {
  TwoPools bench(PlacementMode::kFallback);
  bench.TeachBoth();
  for (int i = 0; i < 50; ++i) bench.Submit(bench.model);
  const auto starts = bench.Starts();
  REQUIRE(starts.size() == 1);
  CHECK(starts[0]->lane.pool == kGpuPool);
  bench.scheduler.LaneDown(bench.now, {kGpuPool, 0}, bench.actions);
  bench.Submit(bench.model);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane.pool == kCpuPool);
  CHECK(batch->reason == PlacementReason::kOtherDown);
}

TEST_CASE("What runs where it would rather run does not tell of another pool that is down",
          "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  const auto [down, reason] = GENERATE(std::pair{kCpuPool, PlacementReason::kFirstChoice},
                                       std::pair{kGpuPool, PlacementReason::kOtherDown});
  bench.scheduler.LaneDown(bench.now, {down, 0}, bench.actions);
  bench.Submit(bench.model);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->reason == reason);
}

TEST_CASE("A pool whose worker has died is down before it tells so", "[scheduler][placement]") {
  TwoPools bench(PlacementMode::kPreferGpu);
  bench.TeachBoth();
  bench.SubmitWithin(seconds(1));
  const ScheduledBatch* dying = bench.Start();
  REQUIRE(dying != nullptr);
  REQUIRE(dying->lane.pool == kGpuPool);
  bench.Die(dying, WorkerDeath::kFromOutside);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane.pool == kCpuPool);
  CHECK(batch->reason == PlacementReason::kOtherDown);
}

TEST_CASE("A request that would be answered too late is refused at once, with the time",
          "[scheduler][deadline]") {
  TwoPools bench;
  bench.TeachBoth();
  // The GPU pool does one a millisecond, the CPU pool one in ten.
  for (int i = 0; i < 30; ++i) bench.SubmitWithin(milliseconds(20));
  CHECK(bench.Starts().size() == 2);
  REQUIRE_FALSE(bench.actions.refusals.empty());
  const absl::Status& status = bench.actions.refusals[0].status;
  CHECK(status.code() == absl::StatusCode::kDeadlineExceeded);
  CHECK(absl::StrContains(status.message(), "model \"m\": it would be answered in about 2"));
  CHECK(RetryAfter(status) == Scheduler::kSoonestRetry);
  // What was taken can be done: 20 on the GPU pool, 2 on the CPU pool.
  CHECK(bench.scheduler.queued(bench.model) >= 18);
  CHECK(bench.scheduler.queued(bench.model) <= 20);
  // A deadline that can be met is.
  bench.actions.refusals.clear();
  bench.SubmitWithin(milliseconds(60));
  CHECK(bench.actions.refusals.empty());
}

TEST_CASE("What is further ahead than anybody can tell is not told as a time",
          "[scheduler][deadline]") {
  TwoPools bench;
  for (int i = 0; i < 20; ++i) {
    bench.Teach(bench.model, PoolPreference::kCpu, std::chrono::hours(2));
    bench.Teach(bench.model, PoolPreference::kGpu, std::chrono::hours(2));
  }
  bench.Submit(bench.model);
  bench.Submit(bench.model);
  bench.SubmitWithin(seconds(1));
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(absl::StrContains(bench.actions.refusals[0].status.message(),
                          "it would be answered in more than an hour, but"));
}

TEST_CASE("A prediction that nothing can be in time is put to the test", "[scheduler][deadline]") {
  TwoPools bench;
  bench.TeachBoth();
  // Nothing runs: it might be quicker than it was.
  bench.SubmitWithin(microseconds(100));
  CHECK(bench.Starts().size() == 1);
  bench.SubmitWithin(microseconds(100));
  CHECK(bench.Starts().empty());
  REQUIRE(bench.actions.refusals.size() == 1);
  // It would never be: there is no sense in another try.
  CHECK_FALSE(RetryAfter(bench.actions.refusals[0].status).has_value());
}

}  // namespace
}  // namespace tandem
