#include "router/reappraisal.h"

#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr uint32_t kCpuPool = 0;
constexpr uint32_t kGpuPool = 1;

TEST_CASE("The pause before a trial grows while trials tell nothing new", "[reappraisal]") {
  Reappraisal pool;
  TimePoint now = kStart;
  CHECK_FALSE(pool.IsDue(now));
  pool.OnBatch(now, milliseconds(9), milliseconds(9));
  Duration pause = Reappraisal::kFirstPause;
  for (int trial = 0; trial < 10; ++trial) {
    CHECK_FALSE(pool.IsDue(now + pause - milliseconds(1)));
    CHECK(pool.IsDue(now + pause));
    now += pause;
    pool.OnBatch(now, milliseconds(9), milliseconds(8));
    pause = std::min(2 * pause, Reappraisal::kLongestPause);
  }
  now += pause;
  pool.OnBatch(now, milliseconds(9), milliseconds(2));
  CHECK(pool.IsDue(now));
  pool.OnBatch(now, milliseconds(2), milliseconds(2));
  CHECK_FALSE(pool.IsDue(now));
  CHECK(pool.IsDue(now + Reappraisal::kFirstPause));
}

// A GPU pool that took 1 ms, and takes 50 ms at present; a CPU pool takes 10 ms.
struct SlowMinute : ScheduleBench {
  explicit SlowMinute(PlacementMode placement = PlacementMode::kAuto)
      : ScheduleBench({{PoolKind::kCpu, 1}, {PoolKind::kGpu, 1}}) {
    ModelConfig config = BatchingModel();
    config.on_gpu = true;
    config.placement = placement;
    model = Add(config);
    Teach(model, PoolPreference::kCpu, milliseconds(10));
    Teach(model, PoolPreference::kGpu, milliseconds(1));
    for (int i = 0; i < 20; ++i) Teach(model, PoolPreference::kGpu, milliseconds(50));
    // The latest of all to end is not to be the GPU pool's.
    Teach(model, PoolPreference::kCpu, milliseconds(10));
  }
  // Where it ran.
  const ScheduledBatch* Run(std::unique_ptr<QueuedRequest> request, Duration cpu, Duration gpu) {
    Submit(model, std::move(request));
    const ScheduledBatch* batch = Start();
    if (batch == nullptr) return nullptr;
    ran_on = batch->lane.pool;
    reason = batch->reason;
    now += ran_on == kCpuPool ? cpu : gpu;
    End(batch);
    return batch;
  }
  // Calls one after the other, for so long. Those that ran on the GPU pool.
  int CallFor(Duration time, Duration gpu) {
    int on_gpu = 0;
    for (const TimePoint end = now + time; now < end;) {
      REQUIRE(Run(Queued(now), milliseconds(10), gpu) != nullptr);
      on_gpu += ran_on == kGpuPool ? 1 : 0;
    }
    return on_gpu;
  }
  uint32_t model = 0;
  uint32_t ran_on = 0;
  PlacementReason reason = PlacementReason::kOnlyPool;
};

TEST_CASE("A pool that was slow for a while is found to be fast again", "[scheduler][placement]") {
  SlowMinute bench;
  CHECK(bench.CallFor(milliseconds(500), milliseconds(1)) == 0);
  bench.CallFor(seconds(1), milliseconds(1));
  CHECK(bench.CallFor(milliseconds(100), milliseconds(1)) == 100);
}

TEST_CASE("A pool that stays slow gets a request less and less often", "[scheduler][placement]") {
  SlowMinute bench;
  CHECK(bench.CallFor(seconds(10), milliseconds(50)) == 3);
  // After 1, 2, 4, 8, 16, 32, 60, 60 … seconds.
  CHECK(bench.CallFor(seconds(290), milliseconds(50)) == 6);
}

TEST_CASE("A trial takes one request alone, and says what it is", "[scheduler][placement]") {
  SlowMinute bench;
  bench.now += seconds(2);
  for (int i = 0; i < 4; ++i)
    bench.scheduler.Accept(bench.now, bench.model, Queued(bench.now), bench.actions);
  bench.scheduler.Serve(bench.now, bench.model, bench.actions);
  const auto starts = bench.Starts();
  REQUIRE(starts.size() == 2);
  CHECK(starts[0]->lane.pool == kGpuPool);
  CHECK(starts[0]->members.size() == 1);
  CHECK(starts[0]->reason == PlacementReason::kLearning);
  CHECK(starts[1]->members.size() == 3);
}

TEST_CASE("No deadline is missed for a trial", "[scheduler][placement]") {
  SlowMinute bench;
  bench.now += seconds(2);
  auto request = Queued(bench.now);
  request->request->deadline = bench.now + milliseconds(30);
  REQUIRE(bench.Run(std::move(request), milliseconds(10), milliseconds(50)) != nullptr);
  CHECK(bench.ran_on == kCpuPool);
  request = Queued(bench.now);
  request->request->deadline = bench.now + milliseconds(200);
  REQUIRE(bench.Run(std::move(request), milliseconds(10), milliseconds(50)) != nullptr);
  CHECK(bench.ran_on == kGpuPool);
}

TEST_CASE("A pool that the model would rather not use is not tried", "[scheduler][placement]") {
  SlowMinute bench(PlacementMode::kPreferCpu);
  bench.now += seconds(2);
  CHECK(bench.CallFor(seconds(2), milliseconds(1)) == 0);
}

TEST_CASE("A second choice that is used for a deadline says so, also where it was once faster",
          "[scheduler][placement]") {
  SlowMinute bench(PlacementMode::kPreferCpu);
  for (int i = 0; i < 10; ++i) bench.Teach(bench.model, PoolPreference::kCpu, milliseconds(200));
  bench.now += seconds(2);
  auto request = Queued(bench.now);
  request->request->deadline = bench.now + milliseconds(100);
  REQUIRE(bench.Run(std::move(request), milliseconds(200), milliseconds(50)) != nullptr);
  CHECK(bench.ran_on == kGpuPool);
  CHECK(bench.reason == PlacementReason::kDeadline);
}

TEST_CASE("A pool that never was the fastest is not tried", "[scheduler][placement]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}, {PoolKind::kGpu, 1}});
  ModelConfig config = BatchingModel();
  config.on_gpu = true;
  const uint32_t model = bench.Add(config);
  bench.Teach(model, PoolPreference::kGpu, milliseconds(1));
  bench.Teach(model, PoolPreference::kCpu, milliseconds(10));
  bench.now += seconds(100);
  bench.Submit(model);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane.pool == kGpuPool);
  CHECK(batch->reason == PlacementReason::kFirstChoice);
}

}  // namespace
}  // namespace tandem
