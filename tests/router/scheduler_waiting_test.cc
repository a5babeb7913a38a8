#include <map>
#include <random>

#include "core/retry_hint.h"
#include "router/scheduler.h"
#include "tests/router/schedule_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("A request is refused at once where nobody would get the answer", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  auto late = Queued(bench.now);
  late->request->deadline = bench.now;
  bench.Submit(model, std::move(late));
  auto cancelled = Queued(bench.now);
  cancelled->request->cancelled = std::make_shared<std::atomic<bool>>(true);
  bench.Submit(model, std::move(cancelled));
  CHECK(bench.Starts().empty());
  REQUIRE(bench.actions.refusals.size() == 2);
  CHECK(bench.actions.refusals[0].status.code() == absl::StatusCode::kDeadlineExceeded);
  CHECK(bench.actions.refusals[1].status.code() == absl::StatusCode::kCancelled);
}

TEST_CASE("A full queue refuses the next request, unless some in it wait for nobody",
          "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}}, 2);
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  auto second = Queued(bench.now);
  second->request->cancelled = cancelled;
  bench.Submit(model, std::move(second));
  bench.Submit(model);
  bench.Submit(model);
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(bench.actions.refusals[0].status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(RetryAfter(bench.actions.refusals[0].status) == Scheduler::kSoonestRetry);
  CHECK(bench.actions.refusals[0].status.message() ==
        "model \"m\": 2 requests wait for it already, the most that may; try again later");
  *cancelled = true;
  bench.Submit(model);
  REQUIRE(bench.actions.refusals.size() == 2);
  CHECK(bench.actions.refusals[1].status.code() == absl::StatusCode::kCancelled);
  CHECK(bench.scheduler.queued(model) == 2);
}

TEST_CASE("Who finds the queue full is told to wait for as long as half of the queue takes",
          "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}}, 1);
  const uint32_t model = bench.Add(BatchingModel());
  bench.Submit(model);
  REQUIRE(bench.Start() != nullptr);
  bench.Submit(model);
  for (const Duration waited :
       {Duration(std::chrono::seconds(4)), Duration(std::chrono::hours(1))}) {
    bench.now += waited;
    bench.Submit(model);
  }
  REQUIRE(bench.actions.refusals.size() == 2);
  CHECK(RetryAfter(bench.actions.refusals[0].status) == Duration(std::chrono::seconds(2)));
  CHECK(RetryAfter(bench.actions.refusals[1].status) == Scheduler::kLatestRetry);
}

TEST_CASE("Clients come to equal shares of what can be answered in time", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  ModelConfig config = BatchingModel();
  config.max_batch_size = 0;
  config.dynamic_batching = false;
  const uint32_t model = bench.Add(config);
  constexpr Duration kRun = milliseconds(10);
  bench.Teach(model, PoolPreference::kAny, kRun);
  // Four times what can be done, three quarters of it from one client.
  const ScheduledBatch* running = nullptr;
  std::map<uint64_t, int> answered;
  std::mt19937 random(1);
  for (int turn = 0; turn < 2000; ++turn, bench.now += kRun / 4) {
    auto request = Queued(bench.now);
    request->request->client = random() % 4 == 0 ? 2 : 1;
    request->request->deadline = bench.now + milliseconds(200);
    bench.Submit(model, std::move(request));
    if (running == nullptr) running = bench.Start();
    REQUIRE(running != nullptr);
    if (bench.now - running->started < kRun) continue;
    ++answered[running->members[0]->request->client];
    bench.End(running);
    running = bench.Start();
  }
  const int all = answered[1] + answered[2];
  CHECK(all >= 450);
  CHECK(answered[2] >= all * 2 / 5);
  for (const auto& refusal : bench.actions.refusals) {
    if (refusal.status.code() != absl::StatusCode::kResourceExhausted) continue;
    REQUIRE(RetryAfter(refusal.status) >= Scheduler::kSoonestRetry);
  }
}

TEST_CASE("A client that is alone has all the time up to the deadline", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  ModelConfig config = BatchingModel();
  config.max_batch_size = 0;
  config.dynamic_batching = false;
  const uint32_t model = bench.Add(config);
  bench.Teach(model, PoolPreference::kAny, milliseconds(10));
  for (int i = 0; i < 30; ++i) {
    auto request = Queued(bench.now);
    request->request->client = 1;
    request->request->deadline = bench.now + milliseconds(200);
    bench.Submit(model, std::move(request));
  }
  CHECK(bench.scheduler.queued(model) >= 18);
}

TEST_CASE("A waiting request expires at its deadline", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  CHECK(bench.scheduler.NextWakeup() == kNever);
  bench.Submit(model);
  const ScheduledBatch* running = bench.Start();
  auto late = Queued(bench.now);
  late->request->deadline = bench.now + milliseconds(3);
  bench.Submit(model, std::move(late));
  CHECK(bench.scheduler.NextWakeup() == bench.now + milliseconds(3));
  bench.now += milliseconds(3);
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(bench.actions.refusals[0].status.message() ==
        "model \"m\": the deadline passed before it ran");
  bench.End(running);
  CHECK(bench.Starts().empty());
}

TEST_CASE("Nobody is given up for a time that one run alone has told", "[scheduler][deadline]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  ModelConfig config = BatchingModel();
  config.dynamic_batching = false;
  const uint32_t model = bench.Add(config);
  const auto submit = [&] {
    auto request = Queued(bench.now);
    request->request->deadline = bench.now + milliseconds(200);
    bench.Submit(model, std::move(request));
  };
  // The first run takes long, as that of a model that nothing has warmed up.
  bench.Submit(model);
  const ScheduledBatch* first = bench.Start();
  bench.now += milliseconds(500);
  bench.End(first);
  for (int i = 0; i < 3; ++i) submit();
  REQUIRE(bench.Start() != nullptr);
  bench.now += milliseconds(5);
  bench.scheduler.Tick(bench.now, bench.actions);
  CHECK(bench.actions.refusals.empty());
  CHECK(bench.scheduler.queued(model) == 2);
}

// A request that runs, and behind it one that is cancelled while it waits.
void SubmitAndCancel(ScheduleBench& bench, uint32_t model) {
  bench.Submit(model);
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  auto request = Queued(bench.now);
  request->request->cancelled = cancelled;
  bench.Submit(model, std::move(request));
  *cancelled = true;
}

TEST_CASE("A cancelled request that waits is found by the sweep", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  SubmitAndCancel(bench, model);
  bench.now = bench.scheduler.NextWakeup();
  CHECK(bench.now <= kStart + Scheduler::kSweepInterval);
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(bench.actions.refusals[0].status.code() == absl::StatusCode::kCancelled);
}

TEST_CASE("Requests that come all the time put no sweep off", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  SubmitAndCancel(bench, model);
  while (bench.actions.refusals.empty()) {
    REQUIRE(bench.now <= kStart + Scheduler::kSweepInterval);
    bench.now += milliseconds(1);
    if (bench.now >= bench.scheduler.NextWakeup()) bench.scheduler.Tick(bench.now, bench.actions);
    bench.Submit(model);
  }
  CHECK(bench.actions.refusals[0].status.code() == absl::StatusCode::kCancelled);
}

TEST_CASE("A batch that is held back goes when its delay has passed", "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(2);
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(config);
  bench.Submit(model);
  bench.now += milliseconds(1);
  bench.Submit(model);
  CHECK(bench.Starts().empty());
  CHECK(bench.scheduler.NextWakeup() == kStart + milliseconds(2));
  bench.now += milliseconds(1);
  bench.scheduler.Tick(bench.now, bench.actions);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->batch.rows == 2);
}

TEST_CASE("A request alone is not held back beyond its deadline", "[scheduler]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(100);
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(config);
  for (int i = 0; i < 5; ++i) bench.scheduler.Observe(model, 0, 1, milliseconds(2));
  auto request = Queued(bench.now, 1);
  request->request->deadline = bench.now + milliseconds(50);
  const TimePoint deadline = request->deadline();
  bench.Submit(model, std::move(request));
  CHECK(bench.Starts().empty());
  bench.now = bench.scheduler.NextWakeup();
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.Start() != nullptr);
  CHECK(bench.now + milliseconds(2) < deadline);
  CHECK(bench.actions.refusals.empty());
}

TEST_CASE("A model that has run single requests alone is tried with larger batches",
          "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  constexpr auto kAnyBatch = milliseconds(300);
  bench.Teach(model, PoolPreference::kAny, kAnyBatch);
  for (int burst = 0; burst < 3; ++burst) {
    for (int i = 0; i < 9; ++i) {
      auto request = Queued(bench.now, 1);
      request->request->deadline = bench.now + milliseconds(850);
      bench.Submit(model, std::move(request));
    }
    while (const ScheduledBatch* batch = bench.Start()) {
      bench.now += kAnyBatch;
      bench.End(batch);
    }
    CAPTURE(burst);
    // The first one learns that it pays.
    CHECK(bench.actions.refusals.size() <= (burst == 0 ? 6 : 0));
    bench.actions.refusals.clear();
  }
}

TEST_CASE("When the last lane of a model goes, its requests wait for it, but not for ever",
          "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 2}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.scheduler.LaneDown(bench.now, {0, 0}, bench.actions);
  bench.Submit(model);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->lane == LaneId{0, 1});
  bench.Submit(model);
  bench.scheduler.BatchNotStarted(bench.now, batch->lane, batch->batch.id,
                                  absl::UnavailableError("gone"), bench.actions);
  // Both wait: the lane is suspected, but nobody has said that it is down.
  CHECK(bench.scheduler.queued(model) == 2);
  CHECK(bench.Starts().empty());
  CHECK(bench.actions.refusals.empty());
  bench.scheduler.LaneDown(bench.now, {0, 1}, bench.actions);
  bench.Submit(model);
  CHECK(bench.scheduler.queued(model) == 3);
  bench.now += seconds(10) - milliseconds(1);
  bench.scheduler.Tick(bench.now, bench.actions);
  CHECK(bench.actions.refusals.empty());
  bench.now += milliseconds(50);
  CHECK(bench.scheduler.NextWakeup() <= bench.now);
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.actions.refusals.size() == 3);
  CHECK(bench.actions.refusals[0].status.code() == absl::StatusCode::kUnavailable);
  bench.Submit(model);
  CHECK(bench.actions.refusals.size() == 4);
}

TEST_CASE("Requests that wait for a worker run when it is back", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.scheduler.LaneDown(bench.now, {0, 0}, bench.actions);
  for (int i = 0; i < 3; ++i) bench.Submit(model);
  CHECK(bench.Starts().empty());
  bench.now += milliseconds(700);
  bench.scheduler.LaneUp({0, 0});
  CHECK(bench.Starts().empty());
  bench.scheduler.SetRunnable(bench.now, model, {0, 0}, true, bench.actions);
  const ScheduledBatch* batch = bench.Start();
  REQUIRE(batch != nullptr);
  CHECK(batch->batch.rows == 3);
}

TEST_CASE("A request that waits for a worker expires at its deadline", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.scheduler.LaneDown(bench.now, {0, 0}, bench.actions);
  auto late = Queued(bench.now);
  late->request->deadline = bench.now + milliseconds(3);
  bench.Submit(model, std::move(late));
  bench.now = bench.scheduler.NextWakeup();
  CHECK(bench.now == kStart + milliseconds(3));
  bench.scheduler.Tick(bench.now, bench.actions);
  REQUIRE(bench.actions.refusals.size() == 1);
  CHECK(bench.actions.refusals[0].status.code() == absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("Nobody waits for a worker that will not run the model, nor in a server that ends",
          "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t model = bench.Add(BatchingModel());
  bench.scheduler.LaneDown(bench.now, {0, 0}, bench.actions);
  bench.Submit(model);
  REQUIRE(bench.scheduler.queued(model) == 1);
  SECTION("its load has failed") { bench.scheduler.GiveUp(bench.now, model, 0, bench.actions); }
  SECTION("the server ends") {
    bench.scheduler.RefuseWaiting(absl::UnavailableError("stop"), bench.actions);
  }
  CHECK(bench.actions.refusals.size() == 1);
  bench.Submit(model);
  CHECK(bench.actions.refusals.size() == 2);
}

TEST_CASE("All that waits can be refused", "[scheduler]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  const uint32_t a = bench.Add(BatchingModel("a"));
  const uint32_t b = bench.Add(BatchingModel("b"));
  for (int i = 0; i < 3; ++i) {
    bench.Submit(a);
    bench.Submit(b);
  }
  bench.scheduler.RefuseWaiting(absl::UnavailableError("stop"), bench.actions);
  CHECK(bench.actions.refusals.size() == 5);
  CHECK(bench.scheduler.queued(a) + bench.scheduler.queued(b) == 0);
}

TEST_CASE("A long run begins in time beside many with nearer deadlines", "[scheduler][deadline]") {
  ScheduleBench bench({{PoolKind::kCpu, 1}});
  ModelConfig config = BatchingModel("short");
  config.dynamic_batching = false;
  const uint32_t quick = bench.Add(config);
  const uint32_t slow = bench.Add(BatchingModel("long"));
  bench.Teach(quick, PoolPreference::kAny, milliseconds(20));
  const bool is_known = GENERATE(true, false);
  if (is_known) bench.Teach(slow, PoolPreference::kAny, milliseconds(100));
  const TimePoint deadline = bench.now + seconds(1);
  auto request = Queued(bench.now);
  request->request->deadline = deadline;
  bench.scheduler.Accept(bench.now, slow, std::move(request), bench.actions);
  while (true) {
    for (int i = 0; i < 4; ++i) {
      auto other = Queued(bench.now);
      other->request->deadline = bench.now + milliseconds(100);
      bench.scheduler.Accept(bench.now, quick, std::move(other), bench.actions);
    }
    bench.scheduler.Serve(bench.now, quick, bench.actions);
    const ScheduledBatch* batch = bench.Start();
    REQUIRE(batch != nullptr);
    REQUIRE(bench.now < deadline);
    if (batch->model == slow) break;
    bench.now += milliseconds(20);
    bench.End(batch);
  }
  CHECK(bench.now + milliseconds(100) <= deadline);
}

}  // namespace
}  // namespace tandem
