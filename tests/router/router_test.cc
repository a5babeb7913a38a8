#include "router/router.h"

#include <future>
#include <string>

#include "core/retry_hint.h"
#include "tests/router/router_bench.h"
#include "tests/support/catch.h"
#include "tests/support/manual_clock.h"

namespace tandem {
namespace {

bool Answered(const std::future<InferResponse>& answer) {
  return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

TEST_CASE("Router answers a request with its outputs and where it ran", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto request = Request();
  const std::vector<float> values = {1, 2, 3, 4};
  request->inputs = {TensorOf("x", DataType::kFp32, {1, 4}, values)};
  auto answer = bench.Ask(std::move(request));
  bench.cpu.Finish(bench.cpu.Next());
  const InferResponse response = answer.get();
  REQUIRE(response.status.ok());
  CHECK(response.model == "m");
  CHECK(response.version == 1);
  REQUIRE(response.outputs.size() == 1);
  CHECK(response.outputs[0].name == "y");
  std::vector<float> got(4);
  CopyBytes(response.outputs[0], reinterpret_cast<std::byte*>(got.data()));
  CHECK(got == values);
  CHECK(response.placement.pool == "cpu");
  CHECK(response.placement.worker == "cpu/0");
  CHECK(response.placement.batch_size == 1);
  CHECK(response.placement.compute_time == microseconds(1));
  CHECK(response.placement.finished >= response.placement.started);
  CHECK(bench.observer.requests == 1);
  CHECK(bench.observer.batches == 1);
  CHECK(bench.router.Gauges().requests_in_flight == 0);
  CHECK(bench.router.Gauges().bytes_in_flight == 0);
}

TEST_CASE("What became of a model's requests is added up", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  std::vector<std::future<InferResponse>> answers;
  // The first runs alone, the others together.
  for (int i = 0; i < 3; ++i) answers.push_back(bench.Ask(Request()));
  for (int i = 0; i < 2; ++i) bench.cpu.Finish(bench.cpu.Next());
  Duration queued{0};
  Duration computed{0};
  for (auto& answer : answers) {
    const InferResponse response = answer.get();
    REQUIRE(response.status.ok());
    queued += response.placement.queue_time;
    computed += response.placement.compute_time;
  }
  auto wrong = Request();
  wrong->inputs.clear();
  CHECK_FALSE(bench.Ask(std::move(wrong)).get().status.ok());
  const ModelTotals totals = bench.router.FindModel("m", -1)->totals;
  CHECK(totals.requests == 4);
  CHECK(totals.failures == 1);
  CHECK(totals.rows == 3);
  CHECK(totals.batches == 2);
  CHECK(totals.queued == queued);
  CHECK(totals.computed == computed);
  CHECK(totals.succeeded >= queued);
  CHECK(totals.failed > Duration(0));
}

TEST_CASE("Requests that wait for a lane run in one batch and get their own rows", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto first = bench.Ask(Request());
  const FakeBackend::Started running = bench.cpu.Next();
  std::vector<std::vector<float>> sent;
  for (float value : {5.f, 6.f, 7.f}) sent.push_back(std::vector<float>(8, value));
  std::vector<std::future<InferResponse>> answers;
  for (const auto& values : sent) {
    auto request = Request();
    request->inputs = {TensorOf("x", DataType::kFp32, {2, 4}, values)};
    answers.push_back(bench.Ask(std::move(request)));
  }
  CHECK(bench.router.FindModel("m", -1)->queued == 3);
  CHECK(bench.router.Gauges().bytes_in_flight == 16 + 3 * 32);
  bench.cpu.Finish(running);
  const FakeBackend::Started batch = bench.cpu.Next();
  CHECK(batch.rows == 6);
  CHECK(batch.members == 3);
  bench.cpu.Finish(batch);
  for (size_t i = 0; i < answers.size(); ++i) {
    const InferResponse response = answers[i].get();
    REQUIRE(response.status.ok());
    CHECK(response.outputs[0].shape == Shape{2, 4});
    std::vector<float> got(8);
    REQUIRE(response.outputs[0].byte_size() == 32);
    CopyBytes(response.outputs[0], reinterpret_cast<std::byte*>(got.data()));
    CHECK(got == sent[i]);
    CHECK(response.placement.batch_size == 6);
  }
  CHECK(first.get().status.ok());
}

TEST_CASE("Requests that come together run in one batch, but for those that are refused",
          "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  std::vector<absl::Status> answers;
  std::vector<Router::Submission> burst;
  for (const char* model : {"m", "nobody", "m", "m"}) {
    burst.push_back({Request(1, model),
                     [&answers](InferResponse response) { answers.push_back(response.status); }});
  }
  bench.router.Submit(std::move(burst));
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].code() == absl::StatusCode::kNotFound);
  const FakeBackend::Started batch = bench.cpu.Next();
  CHECK(batch.members == 3);
  bench.cpu.Finish(batch);
  REQUIRE(answers.size() == 4);
  for (size_t i = 1; i < answers.size(); ++i) CHECK(answers[i].ok());
  bench.router.Submit({});
}

TEST_CASE("Whoever looks for what comes next is told of batches that are not short", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  CHECK_FALSE(bench.router.HasLongBatch());
  // Nobody knows yet how long it takes.
  auto answer = bench.Ask(Request());
  const FakeBackend::Started batch = bench.cpu.Next();
  CHECK(bench.router.HasLongBatch());
  CHECK_FALSE(batch.next_is_soon);
  bench.cpu.Finish(batch);
  CHECK(answer.get().status.ok());
  CHECK_FALSE(bench.router.HasLongBatch());
  bench.cpu.RefuseNext(absl::ResourceExhaustedError("no room"));
  CHECK_FALSE(bench.Ask(Request()).get().status.ok());
  CHECK_FALSE(bench.router.HasLongBatch());
}

TEST_CASE("A lane is told that the next batch may come soon while there are few requests",
          "[router]") {
  // A lane that is late, as on a busy machine, would be given nothing more.
  RouterBenchBy<ManualClock> bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  PoolCost learnt;
  learnt.pool = "cpu";
  learnt.alpha = microseconds(50);
  learnt.batches = 20;
  bench.router.SeedCost("m", 1, learnt);
  std::vector<std::future<InferResponse>> answers;
  answers.push_back(bench.Ask(Request()));
  const FakeBackend::Started first = bench.cpu.Next();
  CHECK(first.next_is_soon);
  CHECK_FALSE(bench.router.HasLongBatch());
  for (int i = 0; i < 5; ++i) answers.push_back(bench.Ask(Request()));
  const FakeBackend::Started second = bench.cpu.Next();
  CHECK(second.next_is_soon);
  bench.cpu.Finish(first);
  // With four others.
  const FakeBackend::Started third = bench.cpu.Next();
  CHECK_FALSE(third.next_is_soon);
  bench.cpu.Finish(second);
  bench.cpu.Finish(third);
  for (auto& each : answers) CHECK(each.get().status.ok());
}

TEST_CASE("Router completes a batch that is answered before Run returns", "[router]") {
  RouterBench bench(FakeBackend::Answers::kInRun);
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  for (int i = 0; i < 100; ++i) CHECK(bench.Ask(Request()).get().status.ok());
}

TEST_CASE("Router refuses what names no model or version, and counts it under no name",
          "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel(), 1, 3)).ok());
  CHECK(bench.Ask(Request(1, "nobody")).get().status.code() == absl::StatusCode::kNotFound);
  auto request = Request();
  request->version = 2;
  const absl::Status status = bench.Ask(std::move(request)).get().status;
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(status.message() == "model \"m\" has no version 2; its versions are: 3");
  CHECK(bench.observer.nameless == 2);
  CHECK(bench.observer.failures == 2);
}

TEST_CASE("Router refuses a pool that the model is not on", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto request = Request();
  request->pool = PoolPreference::kGpu;
  CHECK(bench.Ask(std::move(request)).get().status.code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("A model that no pool serves is listed with the reason", "[router]") {
  RouterBench bench;
  ModelConfig config = BatchingModel();
  config.on_cpu = false;
  config.on_gpu = true;
  const absl::Status status = bench.router.AddModel(Version(config));
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(status.message() ==
        "model \"m\" wants a pool of kind gpu, but the server has cpu (cpu); add such a pool, or "
        "change the model's instance_group or its placement (auto, cpu, gpu, prefer_cpu, "
        "prefer_gpu, fallback)");
  CHECK(bench.router.FindModel("m", -1)->state == ModelState::kUnavailable);
  CHECK(bench.router.FindModel("m", -1)->reason == status.message());
  CHECK(bench.Ask(Request()).get().status.code() == absl::StatusCode::kUnavailable);
  CHECK(bench.router.AllModelsSettled());
}

TEST_CASE("A request that waits expires at its deadline and never runs", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto first = bench.Ask(Request());
  const FakeBackend::Started running = bench.cpu.Next();
  auto request = Request();
  request->deadline = bench.clock.Now() + milliseconds(5);
  // Nothing but the timer answers it: the lane stays busy.
  const InferResponse late = bench.Ask(std::move(request)).get();
  CHECK(late.status.code() == absl::StatusCode::kDeadlineExceeded);
  CHECK(late.placement.pool.empty());
  bench.cpu.Finish(running);
  CHECK(first.get().status.ok());
  CHECK(bench.cpu.batches() == 1);
}

TEST_CASE("A batch without room waits for another of its worker to end", "[router]") {
  SystemClock clock;
  CountingObserver observer;
  FakeBackend cpu(0, PoolKind::kCpu, 2, FakeBackend::Answers::kByHand);
  Router router(clock, {}, observer);
  cpu.Attach(router);
  router.AddBackend(cpu);
  REQUIRE(router.AddModel(Version(BatchingModel())).ok());
  int answered = 0;
  const auto count = [&](InferResponse response) { answered += response.status.ok() ? 1 : 100; };
  router.Submit(Request(), count);
  const FakeBackend::Started running = cpu.Next();
  cpu.RefuseNext(absl::ResourceExhaustedError("the arena is full"));
  router.Submit(Request(), count);
  CHECK(answered == 0);
  CHECK(cpu.waiting() == 0);
  CHECK(router.FindModel("m", -1)->queued == 1);
  cpu.Finish(running);
  cpu.Finish(cpu.Next());
  CHECK(answered == 2);
}

TEST_CASE("A request that an idle worker has no room for is refused", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  bench.cpu.RefuseNext(absl::ResourceExhaustedError("the arena has 10 bytes"));
  const absl::Status status = bench.Ask(Request()).get().status;
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(status.message() == "model \"m\": the arena has 10 bytes");
  auto next = bench.Ask(Request());
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(next.get().status.ok());
}

TEST_CASE("Outputs that do not fit the model are INTERNAL for all members", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto answer = bench.Ask(Request());
  BatchResult wrong;
  wrong.outputs.push_back(MakeTensor("y", DataType::kFp32, {2, 4}));
  bench.cpu.Finish(bench.cpu.Next(), std::move(wrong));
  const absl::Status status = answer.get().status;
  CHECK(status.code() == absl::StatusCode::kInternal);
  CHECK(status.message() ==
        "model \"m\", output \"y\": expected 1 rows for a batch of 1, got shape [2,4]");
}

TEST_CASE("Bytes in flight are bounded", "[router]") {
  RouterOptions options;
  options.max_bytes_in_flight = 40;
  RouterBench bench(FakeBackend::Answers::kByHand, options);
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto first = bench.Ask(Request(2));
  const absl::Status full = bench.Ask(Request(1)).get().status;
  CHECK(full.code() == absl::StatusCode::kResourceExhausted);
  CHECK(RetryAfter(full).has_value());
  // What never fits need not try again.
  const absl::Status too_large = bench.Ask(Request(3)).get().status;
  CHECK(too_large.code() == absl::StatusCode::kResourceExhausted);
  CHECK_FALSE(RetryAfter(too_large).has_value());
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(first.get().status.ok());
  auto second = bench.Ask(Request(2));
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(second.get().status.ok());
}

TEST_CASE("Drain refuses new requests and waits for the accepted ones", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto running = bench.Ask(Request());
  const FakeBackend::Started batch = bench.cpu.Next();
  auto waiting = bench.Ask(Request());
  CHECK_FALSE(bench.router.Drain(milliseconds(1)));
  CHECK(waiting.get().status.code() == absl::StatusCode::kUnavailable);
  CHECK_FALSE(Answered(running));
  CHECK(bench.Ask(Request()).get().status.code() == absl::StatusCode::kUnavailable);
  auto drained =
      std::async(std::launch::async, [&] { return bench.router.Drain(std::chrono::seconds(60)); });
  bench.cpu.Finish(batch);
  CHECK(drained.get());
  CHECK(running.get().status.ok());
}

TEST_CASE("Drain holds no request back for others", "[router]") {
  RouterBench bench;
  ModelConfig config = BatchingModel();
  config.max_queue_delay = std::chrono::hours(1);
  REQUIRE(bench.router.AddModel(Version(config)).ok());
  auto held = bench.Ask(Request());
  CHECK_FALSE(Answered(held));
  auto drained =
      std::async(std::launch::async, [&] { return bench.router.Drain(std::chrono::seconds(60)); });
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(drained.get());
  CHECK(held.get().status.ok());
}

TEST_CASE("A result for a batch that does not run is ignored", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  auto answer = bench.Ask(Request());
  FakeBackend::Started batch = bench.cpu.Next();
  bench.router.OnBatchDone({0, 0}, batch.id + 1, {});
  bench.router.OnBatchDone({7, 9}, batch.id, {});
  CHECK_FALSE(Answered(answer));
  bench.cpu.Finish(batch);
  bench.cpu.Finish(batch);
  CHECK(answer.get().status.ok());
}

TEST_CASE("A model's times are known from its warm-up, and what is known already stays",
          "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  const std::vector<WarmUpRun> runs = {
      {1, milliseconds(3)}, {1, milliseconds(3)}, {8, milliseconds(10)}, {8, milliseconds(10)}};
  bench.router.OnWarmUp({0, 0}, 1, runs);
  const auto cost = [&] { return bench.router.Models()[0].costs.at(0); };
  CHECK(cost().pool == "cpu");
  CHECK(ToSeconds(cost().alpha + cost().beta) == Approx(0.003).margin(0.0002));
  CHECK(ToSeconds(cost().alpha + cost().beta * 8) == Approx(0.010).margin(0.0002));
  // Another worker of the pool, or one that was started again.
  bench.router.OnWarmUp({0, 0}, 1, {{WarmUpRun{1, seconds(1)}}});
  CHECK(cost().batches == runs.size());
  // Nobody knows of these.
  bench.router.OnWarmUp({0, 0}, 77, runs);
  bench.router.OnWarmUp({9, 0}, 1, runs);
}

TEST_CASE("What an earlier run of the server has learnt goes before the warm-up", "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  PoolCost learnt;
  learnt.alpha = milliseconds(2);
  learnt.beta = milliseconds(1);
  learnt.batches = 1000;
  for (const char* pool : {"cpu", "no_such_pool"}) {
    learnt.pool = pool;
    for (const char* model : {"m", "nobody"}) bench.router.SeedCost(model, 1, learnt);
    learnt.alpha = learnt.beta = milliseconds(9);
  }
  bench.router.OnWarmUp({0, 0}, 1, {{WarmUpRun{1, seconds(1)}}});
  const PoolCost cost = bench.router.Models()[0].costs.at(0);
  CHECK(ToSeconds(cost.alpha) == Approx(0.002).epsilon(0.01));
  CHECK(ToSeconds(cost.beta) == Approx(0.001).epsilon(0.01));
  CHECK(cost.batches == 20);
}

TEST_CASE("What an earlier run has learnt of few batches, or of one size, stays as uncertain",
          "[router]") {
  RouterBench bench;
  REQUIRE(bench.router.AddModel(Version(BatchingModel())).ok());
  PoolCost learnt;
  learnt.pool = "cpu";
  learnt.alpha = learnt.beta = milliseconds(5);
  learnt.is_of_one_size = true;
  learnt.batches = 1;
  bench.router.SeedCost("m", 1, learnt);
  const PoolCost cost = bench.router.Models()[0].costs.at(0);
  CHECK(cost.batches == 1);
  CHECK(cost.is_of_one_size);
  CHECK(cost.alpha + cost.beta == milliseconds(10));
}

}  // namespace
}  // namespace tandem
