// Models whose answers keep the order of the requests (preserve_ordering).
#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

ModelConfig InOrder() {
  ModelConfig config = BatchingModel();
  config.preserve_ordering = true;
  return config;
}

TEST_CASE("Where answers keep the order one batch runs at a time", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  ModelConfig config = BatchingModel();
  config.preserve_ordering = true;
  const uint32_t model = bench.Add(config);
  for (int i = 0; i < 3; ++i) bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  REQUIRE(first != nullptr);
  bench.End(first);
  const ScheduledBatch* second = bench.Start();
  REQUIRE(second != nullptr);
  CHECK(second->members.size() == 2);
}

TEST_CASE("The requests of a batch that went wrong run one by one, before those behind them",
          "[scheduler][ordering]") {
  const absl::Status status =
      GENERATE(absl::ResourceExhaustedError("no memory"), absl::InternalError("the model raised"),
               absl::InvalidArgumentError("the model raised"));
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(InOrder());
  bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  for (int i = 0; i < 2; ++i) bench.Submit(model);
  bench.End(first);
  const ScheduledBatch* both = bench.Start();
  REQUIRE(both != nullptr);
  const uint64_t next = both->members[0]->sequence;
  bench.Submit(model);
  bench.scheduler.Find(both->lane, both->batch.id)->result.status = status;
  CHECK(bench.scheduler.BatchEnded(bench.now, both->lane, both->batch.id, false, bench.actions) ==
        nullptr);
  CHECK(bench.actions.splits.size() == 1);
  for (uint64_t i = 0; i < 3; ++i) {
    const ScheduledBatch* batch = bench.Start();
    REQUIRE(batch != nullptr);
    REQUIRE(batch->members.size() == 1);
    CHECK(batch->members[0]->sequence == next + i);
    bench.End(batch);
  }
}

TEST_CASE("What runs again by itself has waited as long as its queue allows", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  ModelConfig config = BatchingModel();
  config.queue_policy.default_timeout = std::chrono::milliseconds(40);
  const uint32_t model = bench.Add(config);
  bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  for (int i = 0; i < 2; ++i) bench.Submit(model);
  bench.End(first);
  const ScheduledBatch* both = bench.Start();
  REQUIRE(both->members.size() == 2);
  bench.now += std::chrono::milliseconds(50);
  bench.scheduler.Find(both->lane, both->batch.id)->result.status = absl::InternalError("raised");
  bench.scheduler.BatchEnded(bench.now, both->lane, both->batch.id, false, bench.actions);
  bench.scheduler.Tick(bench.now + Scheduler::kSweepInterval, bench.actions);
  CHECK(bench.actions.refusals.empty());
  for (int i = 0; i < 2; ++i) {
    const ScheduledBatch* batch = bench.Start();
    REQUIRE(batch != nullptr);
    CHECK(batch->members.size() == 1);
    bench.End(batch);
  }
}

TEST_CASE("While the requests of a worker that died are to run again, nobody overtakes them",
          "[scheduler][ordering]") {
  // Two workers.
  ScheduleBench bench({{PoolKind::kCpu, 2, 2}});
  const uint32_t model = bench.Add(InOrder());
  bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  REQUIRE(first != nullptr);
  const uint64_t sequence = first->members[0]->sequence;
  bench.Submit(model);
  const WorkerDeath death =
      GENERATE(WorkerDeath::kFromOutside, WorkerDeath::kFromInside, WorkerDeath::kHung);
  CAPTURE(static_cast<int>(death));
  bench.Die(first, death);
  auto starts = bench.Starts();
  if (starts.empty()) {
    // It is kept from the last worker for a while.
    bench.now += Scheduler::kLongestSparing;
    bench.scheduler.Tick(bench.now, bench.actions);
    starts = bench.Starts();
  }
  REQUIRE(starts.size() == 1);
  const ScheduledBatch* again = starts[0];
  CHECK(again->members[0]->sequence == sequence);
  if (again->members.size() == 2) return;
  bench.End(again);
  const ScheduledBatch* second = bench.Start();
  REQUIRE(second != nullptr);
  CHECK(second->members[0]->sequence == sequence + 1);
}

}  // namespace
}  // namespace tandem
