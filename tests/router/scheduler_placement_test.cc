#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr uint32_t kCpuPool = 0;
constexpr uint32_t kGpuPool = 1;

// A model on a CPU pool of one lane that takes 10 ms, and a GPU pool of one lane that takes 1 ms.
struct TwoPools : ScheduleBench {
  TwoPools() : ScheduleBench({{PoolKind::kCpu, 1}, {PoolKind::kGpu, 1}}) {
    ModelConfig config = BatchingModel();
    config.on_gpu = true;
    config.dynamic_batching = false;
    model = Add(config);
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

TEST_CASE("The slower pool takes the far end of a long line", "[scheduler][placement]") {
  TwoPools bench;
  bench.TeachBoth();
  std::vector<ScheduledBatch*> starts;
  for (int i = 0; i < 20; ++i) {
    bench.Submit(bench.model);
    for (ScheduledBatch* start : bench.Starts()) starts.push_back(start);
  }
  REQUIRE(starts.size() == 2);
  CHECK(starts[0]->lane.pool == kGpuPool);
  CHECK(starts[1]->lane.pool == kCpuPool);
  // Nine wait in front of it: the GPU pool will have answered those in 10 ms.
  CHECK(starts[1]->members[0]->sequence - starts[0]->members[0]->sequence == 10);
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
  bench.scheduler.Ended(bench.now, running->lane, running->batch.id, false, bench.actions);
  ScheduledBatch* retried = bench.Start();
  REQUIRE(retried != nullptr);
  bench.scheduler.NotStarted(bench.now, retried->lane, retried->batch.id,
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

}  // namespace
}  // namespace tandem
