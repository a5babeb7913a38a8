#include "server/call_queue.h"

#include <grpc/support/time.h>
#include <grpcpp/server_builder.h>

#include <barrier>
#include <memory>
#include <thread>
#include <vector>

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

}  // namespace
}  // namespace tandem::server
