// Express lanes: short batches need not wait for the end of long ones.
#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr LaneId kExpress{0, 2};

// Two lanes and an express lane, a model of 20 ms that holds both lanes, and a light one.
struct Busy {
  explicit Busy(Duration light_time = microseconds(100)) {
    bench.Teach(heavy, PoolPreference::kAny, milliseconds(20));
    bench.Teach(light, PoolPreference::kAny, light_time);
    held = {};
    for (int i = 0; i < 2; ++i) {
      bench.Submit(heavy, 8);
      held.push_back(bench.Start());
    }
  }
  ScheduleBench bench{{{PoolKind::kCpu, 3, 1, /*express=*/true}}};
  uint32_t heavy = bench.Add(BatchingModel("heavy"));
  uint32_t light = bench.Add(BatchingModel("light"));
  std::vector<const ScheduledBatch*> held;
};

TEST_CASE("A light model takes the express lane while long batches hold the others",
          "[scheduler][express]") {
  Busy busy;
  busy.bench.Submit(busy.light);
  const ScheduledBatch* batch = busy.bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane == kExpress);
}

TEST_CASE("A light model takes the express lane while short batches hang on the others",
          "[scheduler][express]") {
  ScheduleBench bench{{{PoolKind::kCpu, 2, 1, /*express=*/true}}};
  const uint32_t hanging = bench.Add(BatchingModel("hanging"));
  const uint32_t light = bench.Add(BatchingModel("light"));
  bench.Teach(hanging, PoolPreference::kAny, microseconds(100));
  bench.Teach(light, PoolPreference::kAny, microseconds(100));
  bench.Submit(hanging);
  REQUIRE(bench.Start() != nullptr);
  bench.now += milliseconds(1);
  bench.Submit(light);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane == LaneId{0, 1});
}

TEST_CASE("No heavy model enters an express lane, and none whose time is unknown",
          "[scheduler][express]") {
  Busy busy;
  busy.bench.Submit(busy.heavy);
  const uint32_t unknown = busy.bench.Add(BatchingModel("unknown"));
  busy.bench.Submit(unknown);
  CHECK(busy.bench.Starts().empty());
  // One that has become heavy is none for it any more.
  for (int i = 0; i < 200; ++i) {
    busy.bench.scheduler.Observe(busy.light, 0, 1, milliseconds(30));
  }
  busy.bench.Submit(busy.light);
  CHECK(busy.bench.Starts().empty());
}

TEST_CASE("What is nearly as long as the batches that hold the lanes waits for them",
          "[scheduler][express]") {
  ScheduleBench bench({{PoolKind::kCpu, 2, 1, /*express=*/true}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Teach(model, PoolPreference::kAny, milliseconds(1));
  for (int i = 0; i < 4; ++i) bench.Submit(model);
  CHECK(bench.Starts().size() == 1);
}

TEST_CASE("A free lane goes before the express lane", "[scheduler][express]") {
  Busy busy;
  busy.bench.End(busy.held[1]);
  busy.bench.Submit(busy.light);
  const ScheduledBatch* batch = busy.bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane == LaneId{0, 1});
}

TEST_CASE("A batch on the express lane is a short one", "[scheduler][express]") {
  // Alone 0.5 ms, and as much for each row more: four rows take 2 ms.
  Busy busy(microseconds(500));
  for (const int64_t rows : {1, 8, 1, 8}) {
    busy.bench.scheduler.Observe(busy.light, 0, rows, rows * microseconds(500));
  }
  busy.bench.Submit(busy.light);
  const ScheduledBatch* first = busy.bench.Start();
  REQUIRE(first != nullptr);
  for (int i = 0; i < 8; ++i) busy.bench.Submit(busy.light);
  busy.bench.now += microseconds(500);
  busy.bench.End(first);
  const ScheduledBatch* second = busy.bench.Start();
  REQUIRE(second != nullptr);
  CHECK(second->lane == kExpress);
  CHECK(second->batch.rows == 4);
}

TEST_CASE("Light requests go to the express lane where the last other lane will get a long batch",
          "[scheduler][express]") {
  ScheduleBench bench({{PoolKind::kCpu, 2, 1, /*express=*/true}});
  const uint32_t heavy = bench.Add(BatchingModel("heavy"));
  const uint32_t light = bench.Add(BatchingModel("light"));
  const uint32_t other = bench.Add(BatchingModel("other"));
  bench.Teach(heavy, PoolPreference::kAny, milliseconds(20));
  bench.Teach(light, PoolPreference::kAny, microseconds(600));
  bench.Teach(other, PoolPreference::kAny, microseconds(700));
  bench.Submit(other);
  const ScheduledBatch* running = bench.Start();
  REQUIRE(running != nullptr);
  SECTION("not for a batch of 0.7 ms alone") {
    bench.Submit(light);
    CHECK(bench.Starts().empty());
  }
  SECTION("for a longer one that goes before them") {
    bench.Submit(heavy);
    bench.Submit(light);
    const ScheduledBatch* first = bench.Start();
    REQUIRE(first != nullptr);
    CHECK(first->model == light);
    CHECK(first->lane == LaneId{0, 1});
  }
  SECTION("for one that has got the lane") {
    bench.Submit(light);
    bench.now += microseconds(100);
    auto urgent = Queued(bench.now, 8);
    urgent->request->deadline = bench.now + milliseconds(50);
    bench.Submit(heavy, std::move(urgent));
    const ScheduledBatch* first = bench.Start();
    REQUIRE(first != nullptr);
    CHECK(first->model == light);
    CHECK(first->lane == LaneId{0, 1});
  }
}

TEST_CASE("A light model takes the express lane where more urgent long batches would go before it",
          "[scheduler][express]") {
  // Batches of 4 ms hold the lanes: less than four times as long as the light model's 1.5 ms.
  ScheduleBench bench{{{PoolKind::kCpu, 3, 1, /*express=*/true}}};
  ModelConfig config = BatchingModel("flood");
  config.dynamic_batching = false;
  const uint32_t flood = bench.Add(config);
  const uint32_t light = bench.Add(BatchingModel("light"));
  bench.Teach(flood, PoolPreference::kAny, milliseconds(4));
  bench.Teach(light, PoolPreference::kAny, microseconds(1500));
  const bool urgent = GENERATE(false, true);
  for (int i = 0; i < 20; ++i) {
    auto request = Queued(bench.now);
    if (urgent) request->request->deadline = bench.now + milliseconds(500);
    bench.Submit(flood, std::move(request));
  }
  bench.Starts();
  auto request = Queued(bench.now);
  if (!urgent) request->request->deadline = bench.now + milliseconds(500);
  bench.Submit(light, std::move(request));
  const std::vector<ScheduledBatch*> starts = bench.Starts();
  CHECK(starts.size() == (urgent ? 1 : 0));
  if (urgent) CHECK(starts[0]->lane == kExpress);
}

TEST_CASE("An express lane that a light load gets nothing from is none for its deadlines",
          "[scheduler][express][deadline]") {
  // A lane and an express lane.
  ScheduleBench bench{{{PoolKind::kCpu, 2, 1, /*express=*/true}}};
  ModelConfig config = BatchingModel("light");
  config.dynamic_batching = false;
  const uint32_t light = bench.Add(config);
  bench.Teach(light, PoolPreference::kAny, milliseconds(1));
  for (int i = 0; i < 20; ++i) {
    auto request = Queued(bench.now);
    request->request->deadline = bench.now + milliseconds(10);
    bench.Submit(light, std::move(request));
  }
  CHECK(bench.Starts().size() == 1);
  // One a millisecond, with the one that runs.
  CHECK(bench.scheduler.queued(light) + 1 <= 10);
  CHECK(bench.scheduler.queued(light) + 1 >= 9);
}

TEST_CASE("A light request's deadline is not held against the long line of others",
          "[scheduler][express]") {
  Busy busy;
  for (int i = 0; i < 20; ++i) busy.bench.Submit(busy.heavy, 8);
  CHECK(busy.bench.Starts().empty());
  busy.bench.Submit(busy.light);
  REQUIRE(busy.bench.Start() != nullptr);
  auto request = Queued(busy.bench.now);
  request->request->deadline = busy.bench.now + milliseconds(5);
  busy.bench.Submit(busy.light, std::move(request));
  CHECK(busy.bench.actions.refusals.empty());
}

}  // namespace
}  // namespace tandem
