// Many threads at once; worth most under ThreadSanitizer.
#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "router/router.h"
#include "tests/router/fake_backend.h"
#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

class NoObserver : public RouterObserver {
 public:
  void OnRequestDone(const RequestRecord&) override { ++requests; }
  void OnBatchDone(const std::string&, int64_t, const Placement&) override {}
  void OnRetry(const std::string&, int64_t) override {}
  void OnPause(const std::string&, int64_t, Duration) override {}
  std::atomic<int> requests{0};
};

TEST_CASE("Requests from many threads to lanes on many threads are each answered once",
          "[router][stress]") {
  constexpr int kThreads = 4;
  constexpr int kRequests = 1500;
  SystemClock clock;
  NoObserver observer;
  Router router(clock, {}, observer);
  std::atomic<int> ran{0};
  std::atomic<int> refused{0};
  std::atomic<int> wrong{0};
  {
    FakeBackend cpu(0, PoolKind::kCpu, 2, FakeBackend::Answers::kOnThreads);
    FakeBackend gpu(1, PoolKind::kGpu, 2, FakeBackend::Answers::kOnThreads);
    for (FakeBackend* backend : {&cpu, &gpu}) {
      backend->Attach(router);
      router.AddBackend(*backend);
    }
    ModelConfig config = BatchingModel();
    config.on_gpu = true;
    REQUIRE(router.AddModel(Version(config, 1)).ok());
    config = BatchingModel("delayed");
    config.max_queue_delay = microseconds(200);
    REQUIRE(router.AddModel(Version(config, 2)).ok());

    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kRequests; ++i) {
          auto request = Request(1 + i % 3, i % 4 == 0 ? "delayed" : "m");
          request->arrival = clock.Now();
          const int64_t rows = 1 + i % 3;
          auto cancelled = std::make_shared<std::atomic<bool>>(false);
          request->cancelled = cancelled;
          if (i % 7 == 0) request->deadline = clock.Now() + microseconds(300);
          router.Submit(std::move(request), [&, rows](InferResponse response) {
            ++(response.status.ok() ? ran : refused);
            if (response.status.ok() && response.outputs[0].shape != Shape{rows, 4}) ++wrong;
          });
          if (i % 11 == 0) *cancelled = true;
          if (i % 100 == thread) (void)router.Models();
          // A full queue is a refusal too, but it would leave nothing to look at.
          while (router.Gauges().requests_in_flight > 300) std::this_thread::yield();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(router.Drain(std::chrono::seconds(60)));
    CHECK_FALSE(cpu.overlapped());
    CHECK_FALSE(gpu.overlapped());
  }
  CHECK(ran + refused == kThreads * kRequests);
  CHECK(observer.requests == kThreads * kRequests);
  CHECK(ran > 0);
  CHECK(wrong == 0);
  CHECK(router.Gauges().bytes_in_flight == 0);
}

// Requests of one client, one after the other without a wait, so many; each is cancelled at once.
void Storm(Router& router, const Clock& clock, uint64_t client, int requests,
           std::atomic<int>& answers) {
  for (int i = 0; i < requests; ++i) {
    auto request = Request();
    request->arrival = clock.Now();
    request->client = client;
    auto cancelled = std::make_shared<std::atomic<bool>>(false);
    request->cancelled = cancelled;
    router.Submit(std::move(request), [&](InferResponse) { ++answers; });
    *cancelled = true;
  }
}

TEST_CASE("Clients that storm and cancel keep no other client from its answers",
          "[router][stress]") {
  constexpr int kStorms = 4;
  constexpr int kOfStorm = 4000;
  constexpr int kModest = 200;
  SystemClock clock;
  NoObserver observer;
  RouterOptions options;
  // Full at once.
  options.max_queue_length = 32;
  Router router(clock, options, observer);
  std::atomic<int> answers{0};
  std::atomic<int> failed{0};
  {
    FakeBackend cpu(0, PoolKind::kCpu, 2, FakeBackend::Answers::kOnThreads);
    cpu.Attach(router);
    router.AddBackend(cpu);
    REQUIRE(router.AddModel(Version(BatchingModel(), 1)).ok());
    std::vector<std::thread> storms;
    for (int storm = 0; storm < kStorms; ++storm) {
      storms.emplace_back([&, storm] {
        Storm(router, clock, static_cast<uint64_t>(storm) + 1, kOfStorm, answers);
      });
    }
    // Two that ask for one thing at a time, and wait for it.
    std::vector<std::thread> modest;
    for (uint64_t client = 100; client < 102; ++client) {
      modest.emplace_back([&, client] {
        for (int i = 0; i < kModest; ++i) {
          auto request = Request();
          request->arrival = clock.Now();
          request->client = client;
          std::promise<absl::Status> answered;
          router.Submit(std::move(request),
                        [&](InferResponse response) { answered.set_value(response.status); });
          if (!answered.get_future().get().ok()) ++failed;
        }
      });
    }
    for (std::thread& thread : storms) thread.join();
    for (std::thread& thread : modest) thread.join();
    CHECK(router.Drain(std::chrono::seconds(60)));
  }
  CHECK(failed == 0);
  CHECK(answers == kStorms * kOfStorm);
  CHECK(observer.requests == kStorms * kOfStorm + 2 * kModest);
  CHECK(router.Gauges().bytes_in_flight == 0);
}

}  // namespace
}  // namespace tandem
