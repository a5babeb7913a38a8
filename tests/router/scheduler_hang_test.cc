// Requests whose worker was ended since one of them did not come to an end.
#include <algorithm>
#include <memory>
#include <utility>

#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("What hung runs again beside others, and takes nobody's worker for itself",
          "[scheduler][hang]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t hanging = bench.Add(BatchingModel("hanging"));
  const uint32_t light = bench.Add(BatchingModel("light"));
  bench.Submit(hanging);
  const ScheduledBatch* hung = bench.Start();
  REQUIRE(hung != nullptr);
  bench.Submit(light);
  const ScheduledBatch* beside = bench.Start();
  REQUIRE(beside != nullptr);
  bench.Die(hung, WorkerDeath::kHung);
  bench.Die(beside, WorkerDeath::kForAnother);
  CHECK(bench.Starts().empty());
  for (uint32_t lane = 0; lane < 2; ++lane) {
    bench.Revive(hanging, {0, lane});
    bench.scheduler.SetRunnable(bench.now, light, {0, lane}, true, bench.actions);
  }
  const auto again = bench.Starts();
  REQUIRE(again.size() == 2);
  for (const ScheduledBatch* batch : again) CHECK_FALSE(batch->is_trial);
  // And so it goes on.
  bench.End(*std::find_if(again.begin(), again.end(),
                          [&](const ScheduledBatch* batch) { return batch->model == light; }));
  bench.Submit(light);
  CHECK(bench.Start() != nullptr);
}

TEST_CASE("Between two trials others have their turn for as long as the first one took",
          "[scheduler][hang]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t one = bench.Add(BatchingModel("one"));
  const uint32_t two = bench.Add(BatchingModel("two"));
  ModelConfig alone = BatchingModel("light");
  alone.dynamic_batching = false;
  const uint32_t light = bench.Add(alone);
  const int light_requests = GENERATE(10, 500);
  bench.Submit(one);
  bench.Submit(two);
  const auto crashed = bench.Starts();
  REQUIRE(crashed.size() == 2);
  for (const ScheduledBatch* batch : crashed) bench.Die(batch, WorkerDeath::kFromInside);
  // As a worker that comes back: nothing is tried before it has loaded all models.
  const auto revive = [&] {
    for (uint32_t lane = 0; lane < 2; ++lane) {
      bench.scheduler.SetLoading(bench.now, {0, lane}, true, bench.actions);
      bench.Revive(one, {0, lane});
      for (const uint32_t model : {two, light}) {
        bench.scheduler.SetRunnable(bench.now, model, {0, lane}, true, bench.actions);
      }
    }
    for (uint32_t lane = 0; lane < 2; ++lane) {
      bench.scheduler.SetLoading(bench.now, {0, lane}, false, bench.actions);
    }
  };
  bench.now += Scheduler::kLongestSparing;
  revive();
  const ScheduledBatch* trial = bench.Start();
  REQUIRE(trial != nullptr);
  REQUIRE(trial->is_trial);
  for (int i = 0; i < light_requests; ++i) bench.Submit(light);
  CHECK(bench.Starts().empty());
  bench.now += seconds(1);
  if (GENERATE(true, false)) {
    bench.End(trial);
  } else {
    bench.Die(trial, WorkerDeath::kHung);
    revive();
  }
  // One after the other on each lane, until a second has passed or there are no more.
  std::vector<ScheduledBatch*> running = bench.Starts();
  REQUIRE(running.size() == 2);
  const TimePoint since = bench.now;
  while (!running[0]->is_trial) {
    CHECK(running[0]->model == light);
    bench.now += milliseconds(5);
    bench.End(running[0]);
    running.erase(running.begin());
    for (ScheduledBatch* batch : bench.Starts()) running.push_back(batch);
    REQUIRE_FALSE(running.empty());
  }
  const Duration time = bench.now - since;
  CHECK(time >= std::min<Duration>(seconds(1), light_requests * milliseconds(5)));
  CHECK(time <= seconds(1) + milliseconds(20));
}

TEST_CASE("A worker is not cleared for a suspect while one of its lanes may hang",
          "[scheduler][hang]") {
  // Two workers of two lanes.
  ScheduleBench bench({{PoolKind::kCpu, 4, 2}});
  const uint32_t one = bench.Add(BatchingModel("one"));
  const uint32_t light = bench.Add(BatchingModel("light"));
  bench.Teach(light, PoolPreference::kAny, milliseconds(5));
  for (int i = 0; i < 2; ++i) bench.Submit(one);
  const auto crashed = bench.Starts();
  REQUIRE(crashed.size() == 2);
  bench.Submit(light);
  const ScheduledBatch* hanging = bench.Start();
  REQUIRE(hanging != nullptr);
  REQUIRE(hanging->lane == LaneId{0, 2});
  for (const ScheduledBatch* batch : crashed) bench.Die(batch, WorkerDeath::kFromInside);
  bench.now += Scheduler::kLongestSparing;
  bench.scheduler.Tick(bench.now, bench.actions);
  bench.Submit(light);
  const ScheduledBatch* beside = bench.Start();
  REQUIRE(beside != nullptr);
  CHECK(beside->lane == LaneId{0, 3});
}

TEST_CASE("Models that hung lately leave half of the lanes to others", "[scheduler][hang]") {
  const uint32_t lanes = GENERATE(1u, 2u, 4u);
  const WorkerDeath death = GENERATE(WorkerDeath::kHung, WorkerDeath::kHungTogether);
  ScheduleBench bench({{PoolKind::kCpu, lanes, lanes}});
  ModelConfig config = BatchingModel();
  config.dynamic_batching = false;
  const uint32_t models[] = {bench.Add(config), bench.Add(config)};
  for (const uint32_t model : models) {
    auto request = Queued(bench.now);
    request->request->deadline = bench.now + milliseconds(1);
    bench.Submit(model, std::move(request));
    const ScheduledBatch* hung = bench.Start();
    REQUIRE(hung != nullptr);
    const LaneId lane = hung->lane;
    bench.now += milliseconds(1);
    bench.Die(hung, death);
    for (const uint32_t each : models) bench.Revive(each, lane);
    bench.now += Scheduler::kSweepInterval;
    bench.scheduler.Tick(bench.now, bench.actions);
    // Nobody waits for it any more.
    REQUIRE(bench.actions.refusals.size() == 1);
    bench.actions.refusals.clear();
  }
  for (uint32_t i = 0; i < 2 * lanes; ++i) bench.Submit(models[i % 2]);
  CHECK(bench.Starts().size() == std::max(1u, lanes / 2));
  bench.now += Scheduler::kHangMemory;
  bench.scheduler.Tick(bench.now, bench.actions);
  CHECK(bench.Starts().size() == lanes - std::max(1u, lanes / 2));
}

TEST_CASE("Of a batch that hung each request runs by itself, so that one is found",
          "[scheduler][hang]") {
  ScheduleBench bench({{PoolKind::kCpu, 2, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  for (int i = 0; i < 5; ++i) bench.Submit(model);
  const auto first = bench.Starts();
  REQUIRE(first.size() == 2);
  // Long enough that none follows another one into the lane.
  bench.now += milliseconds(5);
  bench.End(first[1]);
  const ScheduledBatch* hung = bench.Start();
  REQUIRE(hung != nullptr);
  REQUIRE(hung->members.size() == 3);
  bench.Die(hung, WorkerDeath::kHung);
  const LaneId other_worker = first[0]->lane;
  bench.now += milliseconds(5);
  // On the other worker, though that is the last one.
  bench.End(first[0]);
  for (int left = 3; left > 0; --left) {
    const ScheduledBatch* alone = bench.Start();
    REQUIRE(alone != nullptr);
    CHECK(alone->members.size() == 1);
    CHECK(alone->lane == other_worker);
    bench.now += milliseconds(5);
    bench.End(alone);
  }
}

TEST_CASE("Who gives up a request that hung alone has it known for what it did",
          "[scheduler][hang]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  auto request = Queued(bench.now);
  request->request->deadline = bench.now + seconds(1);
  bench.Submit(model, std::move(request));
  bench.Submit(model);
  const auto running = bench.Starts();
  REQUIRE(running.size() == 2);
  bench.now += seconds(1);
  bench.Die(running[0], WorkerDeath::kHung);
  bench.Die(running[1], WorkerDeath::kForAnother);
  bench.scheduler.Tick(bench.now, bench.actions);
  bench.now += Scheduler::kSweepInterval;
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(bench.actions.refusals[0].request->ended_worker);
}

TEST_CASE("Of two that hung together neither is taken to be the reason for sure",
          "[scheduler][hang]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t models[] = {bench.Add(BatchingModel("a")), bench.Add(BatchingModel("b"))};
  for (int hang = 0; hang <= CircuitBreaker::kMostOffences; ++hang) {
    for (const uint32_t model : models) {
      auto request = Queued(bench.now);
      request->request->deadline = bench.now + seconds(1);
      bench.Submit(model, std::move(request));
    }
    const auto running = bench.Starts();
    REQUIRE(running.size() == 2);
    for (const ScheduledBatch* batch : running) bench.Die(batch, WorkerDeath::kHungTogether);
    bench.now += seconds(1) + Scheduler::kSweepInterval;
    bench.scheduler.Tick(bench.now, bench.actions);
    CHECK(bench.actions.refusals.size() == 2);
    for (const auto& refusal : bench.actions.refusals) CHECK_FALSE(refusal.request->ended_worker);
    // Both were given up, so that it counts against none.
    CHECK(bench.actions.pauses.empty());
    bench.actions.refusals.clear();
    bench.now += Scheduler::kHangMemory;
    for (uint32_t lane = 0; lane < 2; ++lane) {
      bench.Revive(models[0], {0, lane});
      bench.scheduler.SetRunnable(bench.now, models[1], {0, lane}, true, bench.actions);
    }
  }
}

TEST_CASE("What hung and then crashes its worker is a suspect beside what ran there",
          "[scheduler][hang]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  const uint32_t other = bench.Add(BatchingModel("other"));
  const auto both = [&] {
    for (int i = 0; i < 2; ++i) bench.Submit(model);
    const auto running = bench.Starts();
    REQUIRE(running.size() == 2);
    return running;
  };
  const auto first = both();
  bench.End(first[1]);
  bench.Die(first[0], WorkerDeath::kHung);
  auto request = Queued(bench.now);
  request->request->deadline = bench.now + seconds(1);
  bench.Submit(other, std::move(request));
  for (uint32_t lane = 0; lane < 2; ++lane) {
    bench.Revive(model, {0, lane});
    bench.scheduler.SetRunnable(bench.now, other, {0, lane}, true, bench.actions);
  }
  const auto second = bench.Starts();
  REQUIRE(second.size() == 2);
  // In whichever order they are told of, neither is taken to be the reason for sure.
  const bool hung_first = GENERATE(true, false);
  bench.Die(second[hung_first ? 0 : 1], WorkerDeath::kFromInside);
  bench.Die(second[hung_first ? 1 : 0], WorkerDeath::kFromInside);
  bench.now += seconds(1) + Scheduler::kSweepInterval;
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK_FALSE(bench.actions.refusals[0].request->ended_worker);
  bench.Revive(model, {0, 0});
  const ScheduledBatch* trial = bench.Start();
  REQUIRE(trial != nullptr);
  CHECK(trial->is_trial);
}

TEST_CASE("A hang counts against its model once all others of the batch were well, not before",
          "[scheduler][hang]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  // There are answers between them, so that one more is borne.
  for (int hang = 1; hang <= CircuitBreaker::kMostOffences + 1; ++hang) {
    CAPTURE(hang);
    bench.Submit(model);
    const ScheduledBatch* running = bench.Start();
    REQUIRE(running != nullptr);
    auto given_up = Queued(bench.now);
    given_up->request->deadline = bench.now + seconds(1);
    bench.Submit(model, std::move(given_up));
    bench.Submit(model);
    bench.now += milliseconds(5);
    bench.End(running);
    const ScheduledBatch* batch = bench.Start();
    REQUIRE(batch != nullptr);
    REQUIRE(batch->members.size() == 2);
    bench.now += seconds(1);
    bench.Die(batch, WorkerDeath::kHung);
    bench.now += Scheduler::kSweepInterval;
    bench.scheduler.Tick(bench.now, bench.actions);
    CHECK(bench.actions.refusals.size() == 1);
    bench.actions.refusals.clear();
    bench.Revive(model, {0, 0});
    const ScheduledBatch* other = bench.Start();
    REQUIRE(other != nullptr);
    bench.Die(other, WorkerDeath::kFromOutside);
    CHECK(bench.actions.pauses.empty());
    bench.Revive(model, {0, 0});
    const ScheduledBatch* again = bench.Start();
    REQUIRE(again != nullptr);
    bench.now += milliseconds(5);
    bench.End(again);
    CHECK(bench.actions.pauses.empty() == (hang <= CircuitBreaker::kMostOffences));
  }
}

TEST_CASE("A batch that hung and that nobody waits for any more counts once against its model",
          "[scheduler][hang]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  for (int hang = 1; hang <= CircuitBreaker::kMostOffences + 1; ++hang) {
    CAPTURE(hang);
    bench.Submit(model);
    const ScheduledBatch* running = bench.Start();
    REQUIRE(running != nullptr);
    for (int i = 0; i < 3; ++i) {
      auto request = Queued(bench.now);
      request->request->deadline = bench.now + seconds(1);
      bench.Submit(model, std::move(request));
    }
    bench.now += milliseconds(5);
    bench.End(running);
    const ScheduledBatch* batch = bench.Start();
    REQUIRE(batch != nullptr);
    REQUIRE(batch->members.size() == 3);
    bench.Die(batch, WorkerDeath::kHung);
    bench.now += seconds(1);
    bench.scheduler.Tick(bench.now, bench.actions);
    CHECK(bench.actions.refusals.size() == 3);
    for (const auto& refusal : bench.actions.refusals) CHECK_FALSE(refusal.request->ended_worker);
    bench.actions.refusals.clear();
    bench.Revive(model, {0, 0});
    CHECK(bench.actions.pauses.empty() == (hang <= CircuitBreaker::kMostOffences));
  }
}

TEST_CASE("Time in which the server stood still is not of a batch's budget", "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.execution_timeout = seconds(2);
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  bench.Submit(bench.Add(config));
  REQUIRE(bench.Start() != nullptr);
  const TimePoint due = bench.scheduler.NextWakeup();
  bench.now = due + seconds(60);
  bench.scheduler.Tick(bench.now, bench.actions);
  CHECK(bench.actions.overdue.empty());
  while (bench.actions.overdue.empty()) {
    bench.now = bench.scheduler.NextWakeup();
    bench.scheduler.Tick(bench.now, bench.actions);
  }
  CHECK(bench.now - kStart >= seconds(62));
  CHECK(bench.now - kStart <= seconds(62) + Scheduler::kWatchInterval);
}

}  // namespace
}  // namespace tandem
