#include <vector>

#include "tests/router/router_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

BatchResult Died(WorkerDeath death) {
  BatchResult result;
  result.status = absl::UnavailableError("worker cpu/0 died (killed) while it ran the request");
  result.death = death;
  return result;
}

// Tells of the death of the pool's worker: its batch, then its lane.
void KillWorker(RouterBench& bench, const FakeBackend::Started& batch, WorkerDeath death) {
  bench.cpu.Finish(batch, Died(death));
  bench.cpu.LaneDown(0, absl::UnavailableError("killed"));
}

void ReviveWorker(RouterBench& bench, const ModelVersion& model) {
  bench.router.OnLaneUp({0, 0});
  bench.router.OnModelReady({0, 0}, model.handle, model.config.inputs, model.config.outputs);
}

TEST_CASE("What runs and what waits when a worker is killed runs when the worker is back",
          "[router][fault]") {
  RouterBench bench;
  const auto model = Version(BatchingModel());
  REQUIRE(bench.router.AddModel(model).ok());
  auto running = bench.Ask(Request());
  const FakeBackend::Started batch = bench.cpu.Next();
  auto waiting = bench.Ask(Request());
  KillWorker(bench, batch, WorkerDeath::kFromOutside);
  const ModelStatus status = *bench.router.FindModel("m", -1);
  CHECK(status.state == ModelState::kUnavailable);
  CHECK(status.reason == "its worker is being restarted (pool cpu: killed)");
  auto later = bench.Ask(Request());
  CHECK(bench.router.FindModel("m", -1)->queued == 3);
  bench.router.OnLaneUp({0, 0});
  CHECK(bench.router.FindModel("m", -1)->state == ModelState::kLoading);
  CHECK(bench.cpu.waiting() == 0);
  bench.router.OnModelReady({0, 0}, 1, model->config.inputs, model->config.outputs);
  CHECK(bench.router.FindModel("m", -1)->state == ModelState::kReady);
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(running.get().status.ok());
  CHECK(waiting.get().status.ok());
  CHECK(later.get().status.ok());
  CHECK(bench.observer.retries == 1);
  CHECK(bench.observer.failures == 0);
  CHECK(bench.router.Gauges().bytes_in_flight == 0);
}

TEST_CASE("A request whose worker is killed twice is UNAVAILABLE, and may be sent again",
          "[router][fault]") {
  RouterBench bench;
  const auto model = Version(BatchingModel());
  REQUIRE(bench.router.AddModel(model).ok());
  auto unlucky = bench.Ask(Request());
  for (int death = 0; death < 2; ++death) {
    KillWorker(bench, bench.cpu.Next(), WorkerDeath::kFromOutside);
    ReviveWorker(bench, *model);
  }
  const absl::Status status = unlucky.get().status;
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(status.message() ==
        "model \"m\": the worker of the request ended for the second time; try again later");
  auto again = bench.Ask(Request());
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(again.get().status.ok());
  CHECK(bench.router.Quarantined().empty());
}

TEST_CASE("A request that ends two workers is condemned, and those beside it succeed",
          "[router][fault]") {
  RouterBench bench;
  const auto model = Version(BatchingModel());
  REQUIRE(bench.router.AddModel(model).ok());
  const std::vector<float> poison = {9, 9, 9, 9};
  const std::vector<float> good = {1, 2, 3, 4};
  const auto ask = [&](const std::vector<float>& values) {
    auto request = Request();
    request->inputs = {TensorOf("x", DataType::kFp32, {1, 4}, values)};
    return bench.Ask(std::move(request));
  };
  auto first = bench.Ask(Request());
  const FakeBackend::Started running = bench.cpu.Next();
  auto mate = ask(good);
  auto killer = ask(poison);
  auto other_mate = ask(good);
  bench.cpu.Finish(running);
  REQUIRE(first.get().status.ok());
  const FakeBackend::Started batch = bench.cpu.Next();
  REQUIRE(batch.members == 3);
  auto alike = ask(poison);
  KillWorker(bench, batch, WorkerDeath::kFromInside);
  ReviveWorker(bench, *model);
  for (auto* answer : {&mate, &killer, &other_mate}) {
    const FakeBackend::Started trial = bench.cpu.Next();
    CHECK(trial.members == 1);
    CHECK(bench.cpu.waiting() == 0);
    if (answer != &killer) {
      bench.cpu.Finish(trial);
      CHECK(answer->get().status.ok());
      continue;
    }
    KillWorker(bench, trial, WorkerDeath::kFromInside);
    const absl::Status status = killer.get().status;
    CHECK(status.code() == absl::StatusCode::kInternal);
    CHECK(status.message() ==
          "model \"m\": this request ended two workers, so it is not run again; the server's log "
          "tells "
          "how it ended");
    // That is the operator's to know.
    CHECK(bench.observer.condemned() ==
          std::vector<std::string>{"worker cpu/0 died (killed) while it ran the request"});
    ReviveWorker(bench, *model);
  }
  // One like it that waited, and one that comes later, never run.
  CHECK(alike.get().status.code() == absl::StatusCode::kInternal);
  CHECK(ask(poison).get().status.code() == absl::StatusCode::kInternal);
  CHECK(bench.cpu.waiting() == 0);
  CHECK(bench.router.Gauges().quarantined == 1);
  REQUIRE(bench.router.Quarantined().size() == 1);
  CHECK(bench.router.Quarantined()[0].model == "m");
  CHECK(bench.router.Quarantined()[0].refused == 1);
  auto fine = ask(good);
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(fine.get().status.ok());
  CHECK(bench.router.ClearQuarantine() == 1);
  auto forgiven = ask(poison);
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(forgiven.get().status.ok());
}

TEST_CASE("A batch that hangs ends its worker and runs again; the second time it is condemned",
          "[router][fault]") {
  RouterBench bench;
  ModelConfig config = BatchingModel();
  config.execution_timeout = milliseconds(20);
  const auto model = Version(config);
  REQUIRE(bench.router.AddModel(model).ok());
  auto hanging = bench.Ask(Request());
  bench.cpu.Next();
  // Nothing but the timer has the worker ended; then it comes back.
  bench.observer.AwaitRetries(1);
  bench.cpu.LaneDown(0, absl::UnavailableError("killed"));
  ReviveWorker(bench, *model);
  bench.cpu.Next();
  const absl::Status status = hanging.get().status;
  CHECK(status.code() == absl::StatusCode::kInternal);
  CHECK(bench.observer.condemned() ==
        std::vector<std::string>{"a batch of model \"m\" did not come to an end within 20 ms"});
}

TEST_CASE("A worker that ends with the server ends its requests", "[router][fault]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto running = bench.Ask(Request());
  const FakeBackend::Started batch = bench.cpu.Next();
  auto waiting = bench.Ask(Request());
  CHECK_FALSE(bench.router.Drain(milliseconds(1)));
  KillWorker(bench, batch, WorkerDeath::kNone);
  CHECK(running.get().status.code() == absl::StatusCode::kUnavailable);
  CHECK(waiting.get().status.code() == absl::StatusCode::kUnavailable);
}

TEST_CASE("An answer that comes after the client has gone is counted as none", "[router][fault]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  auto request = Request();
  request->cancelled = cancelled;
  auto answer = bench.Ask(std::move(request));
  const FakeBackend::Started batch = bench.cpu.Next();
  cancelled->store(true);
  bench.cpu.Finish(batch);
  CHECK(answer.get().status.ok());
  CHECK(bench.observer.requests == 1);
  CHECK(bench.observer.failures == 1);
  CHECK(bench.router.FindModel("m", -1)->totals.failures == 1);
}

}  // namespace
}  // namespace tandem
