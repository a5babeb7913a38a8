#include "router/scheduler.h"

#include <vector>

#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("A free lane takes a request at once", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->batch.rows == 1);
  CHECK(batch->started == bench.now);
}

TEST_CASE("Requests wait unbound while all lanes are busy, and then run together", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  for (int i = 0; i < 5; ++i) bench.Submit(model);
  const auto starts = bench.Starts();
  REQUIRE(starts.size() == 2);
  CHECK(bench.scheduler.queued(model) == 3);
  bench.End(starts[1]);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->batch.rows == 3);
  CHECK(batch->batch.member_inputs.size() == 3);
  CHECK(batch->lane == LaneId{0, 1});
}

TEST_CASE("A lane takes further batches only of a model that is known to be short", "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.dynamic_batching = false;
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(config);
  SECTION("unknown") {
    bench.Submit(model);
    bench.Submit(model);
    CHECK(bench.Starts().size() == 1);
  }
  SECTION("short") {
    bench.Teach(model, PoolPreference::kAny, microseconds(100));
    for (int i = 0; i < 8; ++i) bench.Submit(model);
    // As many as take less than half a millisecond.
    CHECK(bench.Starts().size() == 4);
    CHECK(bench.scheduler.queued(model) == 4);
  }
  SECTION("two that are not that short") {
    bench.Teach(model, PoolPreference::kAny, microseconds(400));
    for (int i = 0; i < 3; ++i) bench.Submit(model);
    CHECK(bench.Starts().size() == 2);
  }
  SECTION("so short that the ring is full before") {
    bench.Teach(model, PoolPreference::kAny, microseconds(5));
    for (int i = 0; i < 20; ++i) bench.Submit(model);
    CHECK(bench.Starts().size() == kLaneDepth);
  }
  SECTION("long") {
    bench.Teach(model, PoolPreference::kAny, microseconds(600));
    for (int i = 0; i < 3; ++i) bench.Submit(model);
    CHECK(bench.Starts().size() == 1);
  }
}

TEST_CASE("Requests that can join wait for the batch behind the next one", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Teach(model, PoolPreference::kAny, microseconds(5));
  for (int i = 0; i < 6; ++i) bench.Submit(model);
  const auto starts = bench.Starts();
  REQUIRE(starts.size() == 2);
  bench.End(starts[0]);
  const ScheduledBatch* next = bench.Start();
  REQUIRE(next != nullptr);
  CHECK(next->batch.rows == 4);
}

TEST_CASE("Of lanes that all have short batches the one with the fewest gets the next",
          "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.dynamic_batching = false;
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(config);
  bench.Teach(model, PoolPreference::kAny, microseconds(5));
  for (int i = 0; i < 4; ++i) bench.Submit(model);
  uint32_t of_first = 0;
  for (const ScheduledBatch* batch : bench.Starts()) of_first += batch->lane.lane == 0 ? 1 : 0;
  CHECK(of_first == 2);
}

TEST_CASE("A model gets another lane once those that run it have enough to compute",
          "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.dynamic_batching = false;
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(config);
  // What the way to the worker and back takes does not count.
  bench.Teach(model, PoolPreference::kAny, microseconds(100), microseconds(40));
  std::vector<const ScheduledBatch*> batches;
  const auto submit = [&] {
    bench.Submit(model);
    batches.push_back(bench.Start());
    return batches.back();
  };
  for (int i = 0; i < 3; ++i) {
    REQUIRE(submit() != nullptr);
    CHECK(batches.back()->lane == LaneId{0, 0});
  }
  SECTION("the fourth makes it 160 µs") {
    REQUIRE(submit() != nullptr);
    CHECK(batches.back()->lane == LaneId{0, 1});
  }
  SECTION("it has done some of that") {
    bench.End(batches[0], microseconds(40));
    REQUIRE(submit() != nullptr);
    CHECK(batches.back()->lane == LaneId{0, 0});
  }
  SECTION("it is late") {
    bench.now += microseconds(900);
    REQUIRE(submit() != nullptr);
    CHECK(batches.back()->lane == LaneId{0, 1});
  }
}

TEST_CASE("A request that waited for its model's lane takes another where that has gone",
          "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t light = bench.Add(BatchingModel("light"));
  const uint32_t heavy = bench.Add(BatchingModel("heavy"));
  bench.scheduler.SetRunnable(bench.now, heavy, {0, 1}, false, bench.actions);
  bench.Teach(light, PoolPreference::kAny, microseconds(50), microseconds(10));
  bench.Submit(light);
  const ScheduledBatch* running = bench.Start();
  REQUIRE(running != nullptr);
  REQUIRE(running->lane == LaneId{0, 0});
  // It waits for that lane, so that nothing follows there.
  bench.Submit(heavy);
  bench.Submit(light);
  CHECK(bench.Starts().empty());
  bench.End(running, microseconds(10));
  const auto starts = bench.Starts();
  REQUIRE(starts.size() == 2);
  CHECK(starts[0]->model == heavy);
  CHECK(starts[0]->lane == LaneId{0, 0});
  CHECK(starts[1]->model == light);
  CHECK(starts[1]->lane == LaneId{0, 1});
}

TEST_CASE("Nothing goes to a lane that is late", "[scheduler]") {
  ModelConfig one_lane = BatchingModel("one_lane");
  one_lane.instances_cpu = 1;
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t hanging = bench.Add(BatchingModel("hanging"));
  const uint32_t busy = bench.Add(BatchingModel("busy"));
  const bool is_limited = GENERATE(false, true);
  const uint32_t light = bench.Add(is_limited ? one_lane : BatchingModel("light"));
  for (const uint32_t model : {hanging, busy, light}) {
    bench.Teach(model, PoolPreference::kAny, microseconds(100), microseconds(50));
  }
  bench.Submit(hanging);
  const ScheduledBatch* hung = bench.Start();
  REQUIRE(hung != nullptr);
  bench.now += milliseconds(1);
  bench.Submit(busy);
  const ScheduledBatch* running = bench.Start();
  REQUIRE(running != nullptr);
  REQUIRE(running->lane.lane != hung->lane.lane);
  // Both lanes have one batch, and the one that is late should be free by now.
  bench.Submit(light);
  const ScheduledBatch* behind = bench.Start();
  REQUIRE(behind != nullptr);
  CHECK(behind->lane == running->lane);
  bench.End(running, microseconds(50));
  bench.End(behind, microseconds(50));
  // Once it has answered it is as any other.
  const LaneId late = hung->lane;
  bench.End(hung, microseconds(50));
  bench.Submit(hanging);
  const ScheduledBatch* next = bench.Start();
  REQUIRE(next != nullptr);
  CHECK(next->lane == late);
}

TEST_CASE("A second batch does not overtake an older request that waits for the lane",
          "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t quick = bench.Add(BatchingModel("quick"));
  const uint32_t slow = bench.Add(BatchingModel("slow"));
  bench.Teach(quick, PoolPreference::kAny, microseconds(50));
  bench.Teach(slow, PoolPreference::kAny, milliseconds(5));
  bench.Submit(quick);
  const ScheduledBatch* running = bench.Start();
  bench.Submit(slow);
  bench.Submit(quick);
  CHECK(bench.Starts().empty());
  bench.End(running);
  const ScheduledBatch* next = bench.Start();
  REQUIRE(next != nullptr);
  CHECK(next->model == slow);
}

TEST_CASE("A second batch goes before an older request that may not have the lane", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  ModelConfig config = BatchingModel("slow");
  config.dynamic_batching = false;
  config.instances_cpu = 1;
  const uint32_t slow = bench.Add(config);
  const uint32_t quick = bench.Add(BatchingModel("quick"));
  bench.Teach(quick, PoolPreference::kAny, microseconds(50));
  bench.Teach(slow, PoolPreference::kAny, milliseconds(5));
  bench.Submit(slow);
  bench.Submit(slow);
  REQUIRE(bench.Start() != nullptr);
  bench.Submit(quick);
  const ScheduledBatch* running = bench.Start();
  REQUIRE(running != nullptr);
  bench.Submit(quick);
  const ScheduledBatch* behind = bench.Start();
  REQUIRE(behind != nullptr);
  CHECK(behind->lane == running->lane);
}

TEST_CASE("Of the models that wait for a lane the oldest request goes first", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t a = bench.Add(BatchingModel("a"));
  const uint32_t b = bench.Add(BatchingModel("b"));
  bench.Submit(a);
  const ScheduledBatch* running = bench.Start();
  bench.Submit(b);
  for (int i = 0; i < 8; ++i) bench.Submit(a);
  bench.End(running);
  const ScheduledBatch* next = bench.Start();
  REQUIRE(next != nullptr);
  CHECK(next->model == b);
  bench.End(next);
  next = bench.Start();
  REQUIRE(next != nullptr);
  CHECK(next->model == a);
  CHECK(next->batch.rows == 8);
}

TEST_CASE("Instances limit the lanes that run a model at the same time", "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.dynamic_batching = false;
  config.instances_cpu = 2;
  ScheduleBench bench({{PoolKind::kCpu, 4}});
  const uint32_t model = bench.Add(config);
  const uint32_t other = bench.Add(BatchingModel("other"));
  for (int i = 0; i < 4; ++i) bench.Submit(model);
  const auto starts = bench.Starts();
  REQUIRE(starts.size() == 2);
  bench.Submit(other);
  CHECK(bench.Starts().size() == 1);
  bench.End(starts[0]);
  CHECK(bench.Starts().size() == 1);
}

TEST_CASE("A batch that a dead worker never took runs on another lane", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  bench.scheduler.BatchNotStarted(bench.now, first->lane, first->batch.id,
                                  absl::UnavailableError("gone"), bench.actions);
  const ScheduledBatch* second = bench.Start();
  REQUIRE(second != nullptr);
  CHECK(second->lane == LaneId{0, 1});
  CHECK(bench.actions.refusals.empty());
}

TEST_CASE("A batch that is too much for an idle worker runs again, one by one", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  bench.Submit(model);
  bench.Submit(model);
  bench.End(first);
  const ScheduledBatch* both = bench.Start();
  REQUIRE(both->batch.rows == 2);
  bench.scheduler.BatchNotStarted(bench.now, both->lane, both->batch.id,
                                  absl::ResourceExhaustedError("full"), bench.actions);
  const ScheduledBatch* one = bench.Start();
  REQUIRE(one != nullptr);
  CHECK(one->batch.rows == 1);
  bench.scheduler.BatchNotStarted(bench.now, one->lane, one->batch.id,
                                  absl::ResourceExhaustedError("full"), bench.actions);
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(bench.actions.refusals[0].status.code() == absl::StatusCode::kResourceExhausted);
  const ScheduledBatch* other = bench.Start();
  REQUIRE(other != nullptr);
  CHECK(other->batch.rows == 1);
}

TEST_CASE("A long wait is told in whole milliseconds", "[scheduler]") {
  ModelConfig config = BatchingModel();
  const int64_t waited = GENERATE(1180, 12);
  config.queue_policy.default_timeout = milliseconds(waited);
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(config);
  bench.Submit(model);
  bench.Submit(model);
  bench.now += milliseconds(waited);
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(bench.actions.refusals[0].status.message() == "model \"m\": it has waited for " +
                                                          std::to_string(waited) +
                                                          " ms, the longest that its queue allows");
}

TEST_CASE("A batch that uses up its budget is told soon, and at each look until it ends",
          "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.execution_timeout = seconds(2);
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(config);
  bench.Submit(model);
  const ScheduledBatch* hanging = bench.Start();
  REQUIRE(hanging != nullptr);
  // Another one comes and goes meanwhile.
  bench.now += milliseconds(900);
  bench.Submit(model);
  bench.End(bench.Start());
  while (bench.actions.overdue.empty()) {
    REQUIRE(bench.scheduler.NextWakeup() != kNever);
    bench.now = bench.scheduler.NextWakeup();
    bench.scheduler.Tick(bench.now, bench.actions);
  }
  CHECK(bench.now >= kStart + seconds(2));
  CHECK(bench.now <= kStart + seconds(2) + Scheduler::kWatchInterval);
  REQUIRE(bench.actions.overdue.size() == 1);
  CHECK(bench.actions.overdue[0].lane == hanging->lane);
  CHECK(bench.actions.overdue[0].batch == hanging->batch.id);
  CHECK(bench.actions.overdue[0].overrun.budget == seconds(2));
  CHECK(bench.actions.overdue[0].overrun.ran == bench.now - kStart);
  // It was watched from early on, and the other one, which was soon done, never.
  REQUIRE(bench.actions.watches.size() == 1);
  CHECK(bench.actions.watches[0].lane == hanging->lane);
  CHECK(bench.actions.watches[0].batch == hanging->batch.id);
  CHECK(bench.actions.overdue[0].reason ==
        "a batch of model \"m\" did not come to an end within 2000 ms");
  bench.now = bench.scheduler.NextWakeup();
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.actions.overdue.size() == 2);
  CHECK(bench.actions.overdue[1].overrun.ran == bench.now - kStart);
  CHECK(bench.actions.watches.size() == 1);
  bench.End(hanging);
  bench.now = bench.scheduler.NextWakeup();
  bench.scheduler.Tick(bench.now, bench.actions);
  CHECK(bench.scheduler.NextWakeup() == kNever);
}

TEST_CASE("A batch behind another has its budget for itself", "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.dynamic_batching = false;
  config.execution_timeout = seconds(2);
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(config);
  bench.Teach(model, PoolPreference::kAny, microseconds(100));
  bench.Submit(model);
  bench.Submit(model);
  const auto both = bench.Starts();
  REQUIRE(both.size() == 2);
  const auto pass = [&bench](int steps) {
    for (int i = 0; i < steps && bench.actions.overdue.empty(); ++i) {
      bench.now += Scheduler::kWatchInterval;
      bench.scheduler.Tick(bench.now, bench.actions);
    }
  };
  pass(6);
  bench.End(both[0]);
  pass(7);
  CHECK(bench.actions.overdue.empty());
  pass(2);
  CHECK(bench.actions.overdue.size() == 1);
}

}  // namespace
}  // namespace tandem
