// Models whose answers keep the order of the requests (preserve_ordering), over the whole router.
#include <chrono>
#include <future>
#include <optional>
#include <utility>

#include "tests/router/router_bench.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("Where answers keep the order a batch is answered before the next begins",
          "[router][ordering]") {
  const bool in_order = GENERATE(true, false);
  RouterBench bench;
  ModelConfig config = BatchingModel();
  config.preserve_ordering = in_order;
  REQUIRE(bench.router.AddModel(Version(config)).ok());
  size_t begun = 0;
  auto request = Request();
  request->arrival = bench.clock.Now();
  bench.router.Submit(std::move(request),
                      [&](const InferResponse&) { begun = bench.cpu.waiting(); });
  auto behind = bench.Ask(Request());
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(begun == (in_order ? 0 : 1));
  bench.cpu.Finish(bench.cpu.Next());
  CHECK(behind.get().status.ok());
}

struct BatchOnLane {
  LaneId lane;
  uint64_t id = 0;
};

// Answers within Run, but for the first batch of all, which nobody answers.
class KeepsTheFirst : public FakeBackend {
 public:
  KeepsTheFirst(uint32_t pool, PoolKind kind, std::optional<BatchOnLane>& first)
      : FakeBackend(pool, kind, 1, Answers::kInRun), pool_(pool), first_(first) {}

  absl::Status Run(uint32_t lane, const Batch& batch) override {
    if (first_.has_value()) return FakeBackend::Run(lane, batch);
    first_ = {{pool_, lane}, batch.id};
    return absl::OkStatus();
  }

 private:
  const uint32_t pool_;
  std::optional<BatchOnLane>& first_;
};

TEST_CASE("Requests whose answers keep the order run again at once where another worker is idle",
          "[router][ordering]") {
  const SystemClock clock;
  CountingObserver observer;
  std::optional<BatchOnLane> first;
  KeepsTheFirst cpu(0, PoolKind::kCpu, first);
  KeepsTheFirst gpu(1, PoolKind::kGpu, first);
  Router router(clock, {}, observer);
  for (FakeBackend* backend : {&cpu, &gpu}) {
    backend->Attach(router);
    router.AddBackend(*backend);
  }
  ModelConfig config = BatchingModel();
  config.on_gpu = true;
  config.preserve_ordering = true;
  REQUIRE(router.AddModel(Version(config)).ok());
  std::promise<InferResponse> answered;
  auto request = Request();
  request->arrival = clock.Now();
  router.Submit(std::move(request),
                [&](InferResponse response) { answered.set_value(std::move(response)); });
  REQUIRE(first.has_value());
  BatchResult died;
  died.status = absl::UnavailableError("its worker was killed");
  died.death = WorkerDeath::kFromOutside;
  router.OnBatchDone(first->lane, first->id, std::move(died));
  std::future<InferResponse> answer = answered.get_future();
  REQUIRE(answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready);
  CHECK(answer.get().status.ok());
}

}  // namespace
}  // namespace tandem
