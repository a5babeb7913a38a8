// Requests that were in a worker when it crashed.
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "core/retry_hint.h"
#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("Requests whose worker got a signal run again together, on another worker",
          "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 2, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  for (int i = 0; i < 2; ++i) bench.Submit(model);
  const auto running = bench.Starts();
  REQUIRE(running.size() == 2);
  for (int i = 0; i < 3; ++i) bench.Submit(model);
  bench.End(running[1]);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch->batch.rows == 3);
  bench.Die(batch, WorkerDeath::kFromOutside);
  CHECK(bench.Starts().empty());
  bench.End(running[0]);
  const ScheduledBatch* again = bench.Start();
  REQUIRE(again != nullptr);
  CHECK(again->batch.rows == 3);
  CHECK(again->lane == LaneId{0, 0});
  CHECK_FALSE(again->is_trial);
}

TEST_CASE("Requests whose worker crashed run one by one, with nothing beside them",
          "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  for (int i = 0; i < 2; ++i) bench.Submit(model);
  const auto running = bench.Starts();
  REQUIRE(running.size() == 2);
  bench.Die(running[0], WorkerDeath::kFromInside);
  bench.Die(running[1], WorkerDeath::kFromInside);
  CHECK(bench.Starts().empty());
  CHECK(bench.scheduler.queued(model) == 2);
  // The worker comes back: the suspects go before what waits, and keep its lanes for themselves.
  bench.Submit(model);
  bench.Revive(model, {0, 0});
  const ScheduledBatch* first = bench.Start();
  REQUIRE(first != nullptr);
  CHECK(first->is_trial);
  CHECK(first->batch.rows == 1);
  bench.Revive(model, {0, 1});
  CHECK(bench.Starts().empty());
  bench.End(first);
  const ScheduledBatch* second = bench.Start();
  REQUIRE(second != nullptr);
  CHECK(second->is_trial);
  bench.End(second);
  const ScheduledBatch* third = bench.Start();
  REQUIRE(third != nullptr);
  CHECK_FALSE(third->is_trial);
  bench.Submit(model);
  CHECK(bench.Starts().size() == 1);
}

TEST_CASE("A suspect has a worker cleared for it, and others use the rest",
          "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 6, 3}});
  const uint32_t model = bench.Add(BatchingModel());
  const uint32_t other = bench.Add(BatchingModel("other"));
  bench.Submit(model);
  const ScheduledBatch* dying = bench.Start();
  REQUIRE(dying->lane == LaneId{0, 0});
  bench.scheduler.LaneDown(bench.now, {0, 1}, bench.actions);
  for (int i = 0; i < 4; ++i) bench.Submit(other);
  const auto busy = bench.Starts();
  REQUIRE(busy.size() == 4);
  bench.Die(dying, WorkerDeath::kFromInside);
  bench.Submit(other);
  // One lane of the second worker ends, and is not given away: the suspect waits for both.
  bench.End(busy[0]);
  CHECK(bench.Starts().empty());
  bench.End(busy[1]);
  const ScheduledBatch* trial = bench.Start();
  REQUIRE(trial != nullptr);
  CHECK(trial->is_trial);
  CHECK(trial->model == model);
  // The first worker comes back and takes what waits meanwhile.
  bench.Revive(other, {0, 0});
  const ScheduledBatch* beside = bench.Start();
  REQUIRE(beside != nullptr);
  CHECK(beside->model == other);
  CHECK(beside->lane == LaneId{0, 0});
}

TEST_CASE("A suspect whose cleared worker dies gets another", "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 3, 3}});
  const uint32_t model = bench.Add(BatchingModel());
  for (int i = 0; i < 3; ++i) bench.Submit(model);
  const auto running = bench.Starts();
  REQUIRE(running.size() == 3);
  bench.Die(running[0], WorkerDeath::kFromInside);
  // Held for the suspect, it dies in its turn.
  bench.Die(running[1], WorkerDeath::kFromOutside);
  CHECK(bench.Starts().empty());
  bench.Revive(model, {0, 0});
  const ScheduledBatch* trial = bench.Start();
  REQUIRE(trial != nullptr);
  CHECK(trial->is_trial);
  CHECK(trial->lane == LaneId{0, 0});
  // The one that got a signal is no suspect, and takes the other worker when that is back.
  bench.Revive(model, {0, 1});
  const ScheduledBatch* again = bench.Start();
  REQUIRE(again != nullptr);
  CHECK_FALSE(again->is_trial);
}

TEST_CASE("A suspect waits until the worker has tried all its models", "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  bench.Die(bench.Start(), WorkerDeath::kWhileLoading);
  bench.scheduler.SetLoading(bench.now, {0, 0}, true, bench.actions);
  bench.Revive(model, {0, 0});
  bench.Submit(model);
  // The others need not wait.
  const ScheduledBatch* other = bench.Start();
  REQUIRE(other != nullptr);
  CHECK_FALSE(other->is_trial);
  bench.End(other);
  CHECK(bench.Starts().empty());
  bench.scheduler.SetLoading(bench.now, {0, 0}, false, bench.actions);
  const ScheduledBatch* trial = bench.Start();
  REQUIRE(trial != nullptr);
  CHECK(trial->is_trial);
}

TEST_CASE("A trial that a dead worker never took waits for another", "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 3, 3}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  bench.Die(bench.Start(), WorkerDeath::kFromInside);
  const ScheduledBatch* trial = bench.Start();
  REQUIRE(trial != nullptr);
  bench.scheduler.BatchNotStarted(bench.now, trial->lane, trial->batch.id,
                                  absl::UnavailableError("gone"), bench.actions);
  CHECK(bench.Starts().empty());
  CHECK(bench.actions.refusals.empty());
  bench.Revive(model, {0, 0});
  CHECK(bench.Start()->is_trial);
}

TEST_CASE("A suspect does not put a pool's last worker at risk", "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 2, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  const uint32_t other = bench.Add(BatchingModel("other"));
  bench.Submit(model);
  bench.Die(bench.Start(), WorkerDeath::kFromInside);
  bench.scheduler.LaneDown(bench.now, {0, 0}, bench.actions);
  bench.Submit(other);
  const ScheduledBatch* beside = bench.Start();
  REQUIRE(beside != nullptr);
  CHECK(beside->model == other);
  CHECK(beside->lane == LaneId{0, 1});
  bench.End(beside);
  CHECK(bench.Starts().empty());
  SECTION("while the other one is to come back") {
    bench.Revive(model, {0, 0});
    const ScheduledBatch* trial = bench.Start();
    REQUIRE(trial != nullptr);
    CHECK(trial->is_trial);
  }
  SECTION("but where the other one does not come back in time") {
    while (bench.actions.starts.empty()) {
      REQUIRE(bench.scheduler.NextWakeup() != kNever);
      bench.now = bench.scheduler.NextWakeup();
      bench.scheduler.Tick(bench.now, bench.actions);
    }
    CHECK(bench.Start()->lane == LaneId{0, 1});
    CHECK(bench.now - kStart >= Scheduler::kLongestSparing);
  }
  SECTION("but no longer where the other one comes back and dies, again and again") {
    while (bench.actions.starts.empty()) {
      REQUIRE(bench.now - kStart < 2 * Scheduler::kLongestSparing);
      bench.scheduler.SetLoading(bench.now, {0, 0}, true, bench.actions);
      bench.Revive(model, {0, 0});
      bench.now += Scheduler::kLongestSparing / 4;
      bench.scheduler.Tick(bench.now, bench.actions);
      bench.scheduler.LaneDown(bench.now, {0, 0}, bench.actions);
    }
    CHECK(bench.Start()->lane == LaneId{0, 1});
    CHECK(bench.now - kStart >= Scheduler::kLongestSparing);
  }
}

TEST_CASE("A model that has ended a worker waits for no long load of another",
          "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 2, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  bench.Die(bench.Start(), WorkerDeath::kFromInside);
  bench.scheduler.NoteProof(bench.now, model, bench.actions);
  // The worker is back, and loads other models first.
  bench.scheduler.SetLoading(bench.now, {0, 0}, true, bench.actions);
  bench.scheduler.LaneDown(bench.now, {0, 0}, bench.actions);
  bench.scheduler.LaneUp({0, 0});
  bench.Submit(model);
  while (bench.actions.starts.empty()) {
    REQUIRE(bench.now - kStart < 2 * Scheduler::kLongestSparing);
    bench.now = bench.scheduler.NextWakeup();
    bench.scheduler.Tick(bench.now, bench.actions);
  }
  CHECK(bench.now - kStart >= Scheduler::kLongestSparing);
}

// One request of the model after the other is proven to end its worker.
void Offend(ScheduleBench& bench, uint32_t model) {
  while (!bench.scheduler.NoteProof(bench.now, model, bench.actions)) {
  }
}

TEST_CASE("A model whose requests end worker after worker is paused", "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  const uint32_t other = bench.Add(BatchingModel("other"));
  bench.Submit(other);
  const ScheduledBatch* running = bench.Start();
  bench.Submit(model);
  Offend(bench, model);
  // What waits is refused, and what comes, with the time to come again.
  bench.Submit(model);
  REQUIRE(bench.actions.refusals.size() == 2);
  for (const auto& refusal : bench.actions.refusals) {
    CHECK(refusal.status.code() == absl::StatusCode::kUnavailable);
    CHECK(RetryAfter(refusal.status) == CircuitBreaker::kFirstPause);
  }
  bench.actions.refusals.clear();
  bench.End(running);
  bench.Submit(other);
  bench.End(bench.Start());
  // Then one request runs by itself, and the others are still refused.
  bench.now = bench.scheduler.paused_until(model);
  bench.Submit(model);
  bench.Submit(model);
  CHECK(bench.actions.refusals.size() == 1);
  const ScheduledBatch* trial = bench.Start();
  REQUIRE(trial != nullptr);
  CHECK(trial->is_trial);
  bench.End(trial);
  bench.Submit(model);
  CHECK(bench.Start() != nullptr);
}

// A worker of three lanes that runs a request of each model, of three, crashes, and is back at
// once. The clients of the `gone` ones do not wait for that; the other requests are tried, and are
// well.
void CrashTogether(ScheduleBench& bench, const std::vector<uint32_t>& models,
                   const std::vector<uint32_t>& gone) {
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  for (const uint32_t model : models) {
    auto request = Queued(bench.now);
    if (std::count(gone.begin(), gone.end(), model) > 0) request->request->cancelled = cancelled;
    bench.Submit(model, std::move(request));
  }
  const auto running = bench.Starts();
  REQUIRE(running.size() == models.size());
  *cancelled = true;
  for (const ScheduledBatch* batch : running) bench.Die(batch, WorkerDeath::kFromInside);
  for (uint32_t lane = 0; lane < 3; ++lane) {
    bench.Revive(models[0], {0, lane});
    for (uint32_t model = 0; model < 3; ++model) {
      bench.scheduler.SetRunnable(bench.now, model, {0, lane}, true, bench.actions);
    }
  }
  for (size_t left = models.size() - gone.size(); left > 0;) {
    for (const ScheduledBatch* batch : bench.Starts()) {
      CHECK(batch->is_trial);
      bench.End(batch);
      --left;
    }
    bench.now += Scheduler::kSweepInterval;
    bench.scheduler.Tick(bench.now, bench.actions);
  }
  for (const auto& refusal : bench.actions.refusals) {
    CHECK(refusal.status.code() == absl::StatusCode::kCancelled);
    CHECK_FALSE(refusal.request->ended_worker);
  }
  CHECK(bench.actions.refusals.size() == gone.size());
  bench.actions.refusals.clear();
}

TEST_CASE("A model whose requests crash workers is paused, though nobody waits for their trials",
          "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 3}});
  const uint32_t model = bench.Add(BatchingModel());
  const uint32_t other = bench.Add(BatchingModel("other"));
  const uint32_t third = bench.Add(BatchingModel("third"));
  SECTION("what is left when the others were tried") {
    // In whatever order they are told of.
    for (int i = 0; i < 2; ++i) CrashTogether(bench, {model, other}, {model});
    CrashTogether(bench, {other, third, model}, {model});
    CHECK(bench.actions.pauses.empty());
    CrashTogether(bench, {other, model}, {model});
    REQUIRE(bench.actions.pauses.size() == 1);
    CHECK(bench.actions.pauses[0].model == "m");
    CHECK(bench.actions.pauses[0].time == CircuitBreaker::kFirstPause);
    bench.Submit(model);
    CHECK(bench.actions.refusals.size() == 1);
    bench.Submit(other);
    CHECK(bench.Start() != nullptr);
  }
  SECTION("but not where it may have been another one's") {
    for (int i = 0; i < 8; ++i) CrashTogether(bench, {model, other, third}, {model, other});
    CHECK(bench.actions.pauses.empty());
  }
}

TEST_CASE("A crash of a batch that nobody waits for any more counts once",
          "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  // There is an answer between them, so that one more is borne.
  for (int crash = 1; crash <= CircuitBreaker::kMostOffences + 1; ++crash) {
    bench.Submit(model);
    const ScheduledBatch* running = bench.Start();
    CAPTURE(crash);
    REQUIRE(running != nullptr);
    for (int i = 0; i < 3; ++i) {
      auto request = Queued(bench.now);
      request->request->deadline = bench.now + seconds(1);
      bench.Submit(model, std::move(request));
    }
    // Long enough that none follows it into the lane.
    bench.now += milliseconds(5);
    bench.End(running);
    const ScheduledBatch* batch = bench.Start();
    REQUIRE(batch != nullptr);
    REQUIRE(batch->members.size() == 3);
    bench.Die(batch, WorkerDeath::kFromInside);
    bench.now += seconds(1);
    bench.scheduler.Tick(bench.now, bench.actions);
    CHECK(bench.actions.refusals.size() == 3);
    bench.actions.refusals.clear();
    bench.Revive(model, {0, 0});
    CHECK(bench.actions.pauses.empty() == (crash <= CircuitBreaker::kMostOffences));
  }
}

TEST_CASE("A model that has ended workers has one worker at a time", "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 2, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  REQUIRE_FALSE(bench.scheduler.NoteProof(bench.now, model, bench.actions));
  for (int i = 0; i < 2; ++i) bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  REQUIRE(first != nullptr);
  bench.End(first);
  CHECK(bench.Start() != nullptr);
}

TEST_CASE("A suspect is refused at its deadline, and when its worker does not come back",
          "[scheduler][suspects]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  auto request = Queued(bench.now);
  SECTION("deadline") { request->request->deadline = bench.now + milliseconds(30); }
  SECTION("patience") {}
  const bool expires = request->deadline() != kNever;
  bench.Submit(model, std::move(request));
  bench.Die(bench.Start(), WorkerDeath::kFromInside);
  bench.scheduler.LaneDown(bench.now, {0, 0}, bench.actions);
  CHECK(bench.actions.refusals.empty());
  while (bench.actions.refusals.empty()) {
    REQUIRE(bench.scheduler.NextWakeup() != kNever);
    bench.now = bench.scheduler.NextWakeup();
    bench.scheduler.Tick(bench.now, bench.actions);
  }
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(bench.actions.refusals[0].status.code() ==
        (expires ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kUnavailable));
  const Duration waited = bench.now - kStart;
  CHECK(waited >= (expires ? Duration(milliseconds(30)) : Duration(seconds(10))));
  CHECK(waited <= (expires ? milliseconds(80) : milliseconds(10'050)));
  CHECK(bench.scheduler.queued(model) == 0);
  // The worker is not held for it any more.
  bench.Revive(model, {0, 0});
  bench.Submit(model);
  CHECK(bench.Start() != nullptr);
}

}  // namespace
}  // namespace tandem
