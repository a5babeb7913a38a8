#include "server/call_queue.h"

#include <grpc/support/time.h>
#include <grpcpp/server_builder.h>

#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/router/fake_backend.h"
#include "tests/router/requests.h"
#include "tests/router/router_bench.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr int kRounds = 2000;
constexpr int kCalls = 4;

// A call that lasts until somebody else ends it.
class Lasting final : public CallQueue::Member, public CallQueue::Event {
 public:
  explicit Lasting(CallQueue& queue) : queue_(queue) {
    queue_.Post([this] { queue_.Enter(*this); });
  }
  void OnDrain() override {}
  void OnEvent(bool) override {}
  void End() {
    alarm_.Set(&queue_.queue(), gpr_inf_past(GPR_CLOCK_MONOTONIC),
               static_cast<CallQueue::Event*>(this));
    queue_.Post([this] { queue_.Leave(*this); });
  }

 private:
  CallQueue& queue_;
  grpc::Alarm alarm_;
};

TEST_CASE("A queue may end while somebody is about to wake its thread", "[grpc]") {
  std::barrier start(kCalls);
  std::unique_ptr<CallQueue> queue;
  std::vector<std::unique_ptr<Lasting>> calls(kCalls);
  const auto begin = [&] {
    grpc::ServerBuilder builder;
    queue = std::make_unique<CallQueue>(builder.AddCompletionQueue(), 0, nullptr);
    for (auto& call : calls) call = std::make_unique<Lasting>(*queue);
    queue->Start();
  };
  std::vector<std::jthread> enders;
  for (int i = 1; i < kCalls; ++i) {
    enders.emplace_back([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        start.arrive_and_wait();
        calls[i]->End();
        start.arrive_and_wait();
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    begin();
    start.arrive_and_wait();
    calls[0]->End();
    // gRPC ends the process where something is begun on a queue that was shut down.
    queue->Stop();
    start.arrive_and_wait();
  }
}

// A model on a pool that answers by hand, and a queue whose calls ask for it.
struct Asking {
  Asking() : cpu(0, PoolKind::kCpu, 1, FakeBackend::Answers::kByHand), router(clock, {}, observer) {
    cpu.Attach(router);
    router.AddBackend(cpu);
    REQUIRE(router.AddModel(Version(BatchingModel())).ok());
    grpc::ServerBuilder builder;
    queue = std::make_unique<CallQueue>(builder.AddCompletionQueue(), 0, &router);
    queue->Start();
  }
  ~Asking() { queue->Stop(); }

  // On the queue's thread.
  void Submit() const {
    queue->Submit(Request(), [this](InferResponse) { queue->Answer([] {}); });
  }

  SystemClock clock;
  CountingObserver observer;
  FakeBackend cpu;
  Router router;
  std::unique_ptr<CallQueue> queue;
};

TEST_CASE("Requests that come together go to the router together", "[grpc]") {
  Asking asking;
  asking.queue->Post([&] {
    for (int i = 0; i < 3; ++i) asking.queue->OnExpect();
    for (int i = 0; i < 3; ++i) asking.Submit();
  });
  const FakeBackend::Started batch = asking.cpu.Next();
  CHECK(batch.members == 3);
  asking.cpu.Finish(batch);
}

TEST_CASE("A request that is alone goes to the router at once", "[grpc]") {
  Asking asking;
  absl::Notification looked;
  size_t waiting = 0;
  asking.queue->Post([&] {
    asking.queue->OnExpect();
    asking.Submit();
    waiting = asking.cpu.waiting();
    looked.Notify();
  });
  looked.WaitForNotification();
  CHECK(waiting == 1);
  asking.cpu.Finish(asking.cpu.Next());
}

TEST_CASE("Answers are given in the order in which they come, also the last one", "[grpc]") {
  Asking asking;
  std::vector<int> given;
  std::thread::id giver{};
  absl::Notification done;
  std::thread::id queue_thread{};
  asking.queue->Post([&] {
    queue_thread = std::this_thread::get_id();
    for (int i = 0; i < 3; ++i) asking.queue->OnExpect();
    for (int i = 0; i < 3; ++i) {
      asking.queue->Answer([&, i] {
        given.push_back(i);
        giver = std::this_thread::get_id();
        if (i == 2) done.Notify();
      });
    }
    CHECK(given.empty());
  });
  done.WaitForNotification();
  CHECK(given == std::vector<int>{0, 1, 2});
  CHECK(giver == queue_thread);
}

TEST_CASE("The only answer is given at once, by the thread that has it", "[grpc]") {
  Asking asking;
  asking.queue->OnExpect();
  bool is_given = false;
  asking.queue->Answer([&] { is_given = true; });
  CHECK(is_given);
}

}  // namespace
}  // namespace tandem::server
