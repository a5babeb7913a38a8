// A router over backends that tests answer for, and what its observer counts.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "router/router.h"
#include "tests/router/fake_backend.h"
#include "tests/router/requests.h"

namespace tandem {

class CountingObserver : public RouterObserver {
 public:
  void OnRequestDone(const RequestRecord& record) override {
    ++requests;
    if (!record.status.ok()) ++failures;
    if (record.model.empty()) ++nameless;
  }
  void OnBatchDone(const std::string&, int64_t, const Placement&) override { ++batches; }
  void OnRetry(const std::string&, int64_t) override {
    ++retries;
    retries.notify_all();
  }
  void OnPause(const std::string&, int64_t, Duration) override { ++pauses; }
  void OnCondemned(const std::string&, int64_t, const std::string& how) override {
    const std::lock_guard lock(mutex_);
    condemned_.push_back(how);
  }
  void OnBatchSplit(const std::string&, int64_t, std::string_view) override { ++splits; }
  // How the workers ended, of which requests were condemned.
  std::vector<std::string> condemned() const {
    const std::lock_guard lock(mutex_);
    return condemned_;
  }
  void AwaitRetries(int count) {
    for (int seen = retries; seen < count; seen = retries) retries.wait(seen);
  }

  std::atomic<int> requests{0};
  std::atomic<int> failures{0};
  std::atomic<int> nameless{0};
  std::atomic<int> batches{0};
  std::atomic<int> retries{0};
  std::atomic<int> pauses{0};
  std::atomic<int> splits{0};

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<std::string> condemned_;
};

// A router over one CPU pool of one lane (and a GPU pool where asked).
template <typename ClockType>
struct RouterBenchBy {
  explicit RouterBenchBy(FakeBackend::Answers answers = FakeBackend::Answers::kByHand,
                         RouterOptions options = {})
      : cpu(0, PoolKind::kCpu, 1, answers), router(clock, options, observer) {
    cpu.Attach(router);
    router.AddBackend(cpu);
  }

  std::future<InferResponse> Ask(std::unique_ptr<InferRequest> request) {
    auto promise = std::make_shared<std::promise<InferResponse>>();
    std::future<InferResponse> answer = promise->get_future();
    if (request->arrival == TimePoint{}) request->arrival = clock.Now();
    router.Submit(std::move(request),
                  [promise](InferResponse response) { promise->set_value(std::move(response)); });
    return answer;
  }

  ClockType clock;
  CountingObserver observer;
  FakeBackend cpu;
  Router router;
};

// With time as it passes.
using RouterBench = RouterBenchBy<SystemClock>;

}  // namespace tandem
