#include "client/bench/load_generator.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "inference.grpc.pb.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::milliseconds;

// A server whose ModelInfer is the test's.
class FakeServer : public inference::GRPCInferenceService::CallbackService {
 public:
  using Answer =
      std::function<void(const inference::ModelInferRequest&, grpc::ServerUnaryReactor*)>;

  explicit FakeServer(Answer answer) : answer_(std::move(answer)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeServer() override { server_->Shutdown(); }

  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }

  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const inference::ModelInferRequest* request,
                                       inference::ModelInferResponse*) override {
    {
      const std::lock_guard lock(mutex_);
      peers_.insert(context->peer());
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    answer_(*request, reactor);
    return reactor;
  }

  size_t peers() {
    const std::lock_guard lock(mutex_);
    return peers_.size();
  }

 private:
  const Answer answer_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::set<std::string> peers_;
};

// One that leaves its clients without an answer until it ends.
class SilentServer {
 public:
  ~SilentServer() {
    const std::lock_guard lock(mutex_);
    for (grpc::ServerUnaryReactor* call : unanswered_) call->Finish(grpc::Status::OK);
  }

  std::string target() const { return server_.target(); }

 private:
  std::mutex mutex_;
  std::vector<grpc::ServerUnaryReactor*> unanswered_;
  FakeServer server_{[this](const auto&, grpc::ServerUnaryReactor* reactor) {
    const std::lock_guard lock(mutex_);
    unanswered_.push_back(reactor);
  }};
};

grpc::ByteBuffer Request(const std::string& model) {
  inference::ModelInferRequest request;
  request.set_model_name(model);
  const grpc::Slice slice(request.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

LoadOptions Options(const auto& server) {
  LoadOptions options;
  options.target = server.target();
  options.warm_up = milliseconds(20);
  options.duration = milliseconds(200);
  return options;
}

TEST_CASE("A closed loop has as many calls under way as asked, over its connections", "[bench]") {
  std::atomic<int> under_way{0};
  std::atomic<int> most{0};
  std::mutex mutex;
  std::vector<grpc::ServerUnaryReactor*> waiting;
  // Answers only once 6 wait: with fewer under way nothing would ever be answered.
  FakeServer server([&](const auto&, grpc::ServerUnaryReactor* reactor) {
    const std::lock_guard lock(mutex);
    most = std::max(most.load(), ++under_way);
    waiting.push_back(reactor);
    if (waiting.size() < 6) return;
    for (grpc::ServerUnaryReactor* one : waiting) {
      --under_way;
      one->Finish(grpc::Status::OK);
    }
    waiting.clear();
  });
  LoadOptions options = Options(server);
  options.channels = 3;
  options.threads = 2;
  // The last calls of the two threads may not make six.
  options.timeout = milliseconds(50);
  const LoadResult result = GenerateLoad(options, {6, 0, false}, {Request("m")});
  CHECK(most == 6);
  CHECK(server.peers() == 3);
  CHECK(result.latencies.count() > 0);
  CHECK(result.calls_per_second == Approx(static_cast<double>(result.latencies.count()) / 0.2));
  const std::lock_guard lock(mutex);
  for (grpc::ServerUnaryReactor* one : waiting) one->Finish(grpc::Status::OK);
}

TEST_CASE("An open loop sends when calls are due, and counts from then", "[bench]") {
  // Nothing is answered before the 50th call has come: a closed loop would wait for ever, and one
  // that forgets the waiting would tell short latencies.
  std::mutex mutex;
  std::vector<grpc::ServerUnaryReactor*> waiting;
  size_t calls = 0;
  FakeServer server([&](const auto&, grpc::ServerUnaryReactor* reactor) {
    const std::lock_guard lock(mutex);
    waiting.push_back(reactor);
    if (++calls < 50) return;
    for (grpc::ServerUnaryReactor* one : waiting) one->Finish(grpc::Status::OK);
    waiting.clear();
  });
  LoadOptions options = Options(server);
  options.warm_up = milliseconds(0);
  const LoadResult result = GenerateLoad(options, {0, 500, false}, {Request("m")});
  CHECK(result.failures == 0);
  CHECK(result.held_back == 0);
  // 500 a second for 0.2 s; the call at the very end of the window is not in it.
  CHECK(result.latencies.count() == 99);
  // The first waited for 49 gaps of 2 ms, however late anything ran.
  CHECK(result.latencies.max() >= milliseconds(98));
}

TEST_CASE("Calls of an open loop that could not be sent are told", "[bench]") {
  SilentServer server;
  LoadOptions options = Options(server);
  options.warm_up = milliseconds(0);
  // Also for the connection, on a machine that does other things, too.
  options.timeout = milliseconds(1000);
  const bool poisson = GENERATE(false, true);
  const LoadResult result = GenerateLoad(options, {0, 1e6, poisson}, {Request("m")});
  CHECK(result.latencies.count() == 0);
  CHECK(result.failures <= 4096);
  // Each of the calls that were due within 0.2 s is in one of the two.
  CHECK(static_cast<double>(result.failures + result.unsent) ==
        Approx(200000).epsilon(poisson ? 0.02 : 0.00001));
}

TEST_CASE("What the warm-up could not send does not fill the measured time", "[bench]") {
  FakeServer server(
      [&](const auto&, grpc::ServerUnaryReactor* reactor) { reactor->Finish(grpc::Status::OK); });
  LoadOptions options = Options(server);
  options.warm_up = milliseconds(100);
  // In the warm-up alone more calls are due than can be sent in the whole level.
  const LoadResult result = GenerateLoad(options, {0, 1e9, false}, {Request("m")});
  CHECK(result.failures == 0);
  CHECK(result.latencies.count() > 0);
  CHECK(static_cast<double>(result.latencies.count() + result.unsent) ==
        Approx(2e8).epsilon(0.00001));
}

TEST_CASE("Requests are sent in turn", "[bench]") {
  std::mutex mutex;
  std::vector<std::string> models;
  FakeServer server(
      [&](const inference::ModelInferRequest& request, grpc::ServerUnaryReactor* reactor) {
        {
          const std::lock_guard lock(mutex);
          models.push_back(request.model_name());
        }
        reactor->Finish(grpc::Status::OK);
      });
  GenerateLoad(Options(server), {1, 0, false}, {Request("a"), Request("b"), Request("c")});
  REQUIRE(models.size() >= 3);
  for (size_t i = 0; i < models.size(); ++i) {
    REQUIRE(models[i] == std::string(1, static_cast<char>('a' + i % 3)));
  }
}

TEST_CASE("Failures are counted apart, with the server's first message", "[bench]") {
  FakeServer server([&](const auto&, grpc::ServerUnaryReactor* reactor) {
    reactor->Finish(grpc::Status(grpc::StatusCode::INTERNAL, "broken on purpose"));
  });
  const LoadResult result = GenerateLoad(Options(server), {2, 0, false}, {Request("m")});
  CHECK(result.latencies.count() == 0);
  CHECK(result.calls_per_second == 0);
  CHECK(result.failures > 0);
  CHECK(result.first_failure == "broken on purpose");
  CHECK_FALSE(result.server_lost);
}

TEST_CASE("A server that never answers ends the level after the timeout", "[bench]") {
  SilentServer server;
  LoadOptions options = Options(server);
  options.timeout = milliseconds(20);
  const bool open = GENERATE(false, true);
  const LoadResult result = GenerateLoad(
      options, open ? LoadLevel{0, 100, true} : LoadLevel{4, 0, false}, {Request("m")});
  CHECK(result.latencies.count() == 0);
  CHECK(result.failures > 0);
  if (!open) CHECK(result.failures == 4);
  CHECK(result.first_failure == "no answer came in time");
}

TEST_CASE("A server that says that it is unavailable is not lost", "[bench]") {
  FakeServer server([&](const auto&, grpc::ServerUnaryReactor* reactor) {
    reactor->Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"));
  });
  const LoadResult result = GenerateLoad(Options(server), {2, 0, false}, {Request("m")});
  CHECK(result.failures > 0);
  CHECK_FALSE(result.server_lost);
}

TEST_CASE("Where no connection can be made nothing is sent", "[bench]") {
  LoadOptions options;
  // Port 1 is nobody's.
  options.target = "127.0.0.1:1";
  options.warm_up = milliseconds(0);
  options.duration = milliseconds(50);
  const LoadResult result = GenerateLoad(options, {1, 0, false}, {Request("m")});
  CHECK(result.server_lost);
  CHECK(result.failures == 0);
  CHECK(result.latencies.count() == 0);
}

}  // namespace
}  // namespace tandem::client
