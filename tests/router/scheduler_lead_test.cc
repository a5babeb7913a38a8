// What follows on a batch that takes long goes to its lane shortly before the end.
#include <string>
#include <utility>

#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

ModelConfig OneByOne(const std::string& name = "one_by_one") {
  ModelConfig config = BatchingModel(name);
  config.dynamic_batching = false;
  return config;
}

// Turns the time forward to the next wake-up, where the router would call.
Duration TurnToWakeup(ScheduleBench& bench) {
  const Duration passed = bench.scheduler.NextWakeup() - bench.now;
  bench.now += passed;
  bench.scheduler.Tick(bench.now, bench.actions);
  return passed;
}

TEST_CASE("The next batch goes to its lane shortly before that is free", "[scheduler][lead]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(OneByOne());
  const auto [time, wait] =
      GENERATE(std::pair<Duration, Duration>{milliseconds(16), milliseconds(15)},
               std::pair<Duration, Duration>{microseconds(600), microseconds(400)});
  bench.Teach(model, PoolPreference::kAny, time);
  for (int i = 0; i < 3; ++i) bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  REQUIRE(first != nullptr);
  CHECK(TurnToWakeup(bench) == wait);
  const ScheduledBatch* second = bench.Start();
  REQUIRE(second != nullptr);
  CHECK(second->lane == first->lane);
  // Only one: the third is not bound before it must be.
  bench.now += time - wait;
  bench.End(first);
  CHECK(bench.Starts().empty());
  CHECK(TurnToWakeup(bench) == wait);
  CHECK(bench.Start() != nullptr);
}

TEST_CASE("A request that comes shortly before the lane is free goes there", "[scheduler][lead]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(OneByOne());
  bench.Teach(model, PoolPreference::kAny, milliseconds(16));
  bench.Submit(model);
  REQUIRE(bench.Start() != nullptr);
  const Duration after = GENERATE(microseconds(15'500), microseconds(16'400));
  bench.now += after;
  bench.Submit(model);
  CHECK(bench.Start() != nullptr);
}

TEST_CASE("Nothing follows on a batch that takes long before its end", "[scheduler][lead]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(OneByOne());
  const uint32_t other = bench.Add(OneByOne("other"));
  const uint32_t batching = bench.Add(BatchingModel("batching"));
  for (const uint32_t each : {model, other, batching}) {
    bench.Teach(each, PoolPreference::kAny, milliseconds(16));
  }
  const auto submit = [&](uint32_t which, Duration deadline = Duration{0}) {
    auto request = Queued(bench.now);
    if (deadline > Duration{0}) request->request->deadline = bench.now + deadline;
    bench.Submit(which, std::move(request));
  };
  SECTION("of another model, since it may hang") {
    submit(model);
    REQUIRE(bench.Start() != nullptr);
    submit(other);
  }
  SECTION("where the batch may grow") {
    submit(batching);
    REQUIRE(bench.Start() != nullptr);
    submit(batching);
  }
  SECTION("where an older request of another model waits for the lane") {
    submit(model);
    REQUIRE(bench.Start() != nullptr);
    submit(other);
    submit(model);
  }
  SECTION("where a deadline is near, so that all depends on when the lane is free") {
    submit(model);
    REQUIRE(bench.Start() != nullptr);
    submit(model, milliseconds(40));
  }
  SECTION("where one follows already") {
    for (int i = 0; i < 3; ++i) submit(model);
    REQUIRE(bench.Start() != nullptr);
    bench.now += microseconds(15'500);
    bench.scheduler.Tick(bench.now, bench.actions);
    REQUIRE(bench.Start() != nullptr);
  }
  SECTION("once it is late, since it may hang") {
    submit(model);
    REQUIRE(bench.Start() != nullptr);
    bench.now += milliseconds(1);
    submit(model);
  }
  bench.now += microseconds(15'900);
  bench.scheduler.Tick(bench.now, bench.actions);
  CHECK(bench.Starts().empty());
}

TEST_CASE("A full batch goes to its lane before that is free, too", "[scheduler][lead]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const ModelConfig config = BatchingModel();
  const uint32_t model = bench.Add(config);
  bench.Teach(model, PoolPreference::kAny, milliseconds(16));
  bench.Submit(model);
  REQUIRE(bench.Start() != nullptr);
  for (uint32_t i = 0; i < config.max_batch_size; ++i) bench.Submit(model);
  CHECK(TurnToWakeup(bench) == milliseconds(15));
  const ScheduledBatch* full = bench.Start();
  REQUIRE(full != nullptr);
  CHECK(full->batch.rows == config.max_batch_size);
}

TEST_CASE("A next batch for which there is no room yet goes when the lane is free",
          "[scheduler][lead]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  ModelConfig config = OneByOne();
  config.instances_cpu = 1;
  const uint32_t model = bench.Add(config);
  const uint32_t light = bench.Add(OneByOne("light"));
  for (const uint32_t each : {model, light}) {
    bench.Teach(each, PoolPreference::kAny, milliseconds(16));
  }
  for (int i = 0; i < 2; ++i) bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  REQUIRE(first != nullptr);
  TurnToWakeup(bench);
  const ScheduledBatch* early = bench.Start();
  REQUIRE(early != nullptr);
  bench.scheduler.BatchNotStarted(bench.now, early->lane, early->batch.id,
                                  absl::ResourceExhaustedError("no room"), bench.actions);
  CHECK(bench.Starts().empty());
  CHECK(bench.actions.refusals.empty());
  // It is not tried all the time, and the other lane is as it was.
  CHECK(bench.scheduler.NextWakeup() > bench.now);
  bench.Submit(light);
  const ScheduledBatch* beside = bench.Start();
  REQUIRE(beside != nullptr);
  CHECK(beside->model == light);
  bench.End(first);
  CHECK(bench.Start() != nullptr);
}

}  // namespace
}  // namespace tandem
