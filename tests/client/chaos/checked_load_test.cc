#include "client/chaos/checked_load.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <future>

#include "client/chaos/echo_request.h"
#include "inference.grpc.pb.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;
using inference::ModelStreamInferResponse;
using std::chrono::milliseconds;
using std::chrono::seconds;

ModelInferResponse Echo(const ModelInferRequest& message) {
  ModelInferResponse reply;
  reply.set_id(message.id());
  reply.set_model_name(message.model_name());
  auto& output = *reply.add_outputs();
  output.set_name("OUTPUT0");
  output.set_datatype("UINT8");
  *output.mutable_shape() = message.inputs(0).shape();
  reply.add_raw_output_contents(message.raw_input_contents(0));
  return reply;
}

// A server that answers as the test says: with no answer, one or many.
class FakeServer : public inference::GRPCInferenceService::Service {
 public:
  using Answers = std::function<std::vector<ModelInferResponse>(const ModelInferRequest&)>;

  explicit FakeServer(Answers answers) : answers_(std::move(answers)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeServer() override {
    end_.set_value();
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  grpc::Status ModelInfer(grpc::ServerContext*, const ModelInferRequest* request,
                          ModelInferResponse* reply) override {
    const std::vector<ModelInferResponse> answers = answers_(*request);
    ++asked;
    asked.notify_all();
    if (answers.empty()) {
      ended_.wait();
      return grpc::Status(grpc::StatusCode::CANCELLED, "");
    }
    if (answers.front().model_name().empty())
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
    *reply = answers.front();
    return grpc::Status::OK;
  }

  grpc::Status ModelStreamInfer(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<ModelStreamInferResponse, ModelInferRequest>* stream) override {
    ModelInferRequest request;
    while (stream->Read(&request)) {
      for (const ModelInferResponse& each : answers_(request)) {
        ModelStreamInferResponse answer;
        *answer.mutable_infer_response() = each;
        if (each.model_name().empty()) answer.set_error_message("not now");
        stream->Write(answer);
      }
      ++streamed;
      streamed.notify_all();
    }
    return grpc::Status::OK;
  }

  // Returns when so many were asked in both ways.
  void WaitFor(int count) {
    for (std::atomic<int>* counter : {&asked, &streamed}) {
      for (int now = *counter; now < count; now = *counter) counter->wait(now);
    }
  }

  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }

  std::atomic<int> asked{0};
  std::atomic<int> streamed{0};

 private:
  const Answers answers_;
  // A call without an answer stays open until the server ends.
  std::promise<void> end_;
  const std::shared_future<void> ended_{end_.get_future()};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// Sends until enough went both ways, then waits for the answers.
LedgerTotals Load(const FakeServer::Answers& answers, milliseconds patience = seconds(60)) {
  FakeServer server(answers);
  CheckedLoad load({server.target(), 2000, 99});
  load.Start();
  server.WaitFor(20);
  load.Finish(patience);
  return load.ledger().Totals();
}

TEST_CASE("A load on a good server has nothing to complain of", "[chaos]") {
  const LedgerTotals totals = Load([](const auto& request) { return std::vector{Echo(request)}; });
  CHECK(totals.requests >= 40);
  CHECK(totals.lost + totals.wrong + totals.doubled + totals.error_count() == 0);
}

TEST_CASE("Answers that are exchanged, or changed, are seen on both ways", "[chaos]") {
  const LedgerTotals totals = Load([](const ModelInferRequest& request) {
    ModelInferResponse reply = Echo(request);
    // Content of another request. Not asserted here, on the server's threads, which Catch2 does not
    // allow: without its number the content is wrong as well.
    uint64_t number = 0;
    NumberOfId(request.id(), &number);
    *reply.mutable_raw_output_contents(0) =
        MakeMessage({99, number + 6, request.model_name()}).raw_input_contents(0);
    return std::vector{reply};
  });
  CHECK(totals.wrong == totals.requests);
}

TEST_CASE("Answers that come twice are seen on streams", "[chaos]") {
  const LedgerTotals totals = Load([](const auto& request) {
    return std::vector{Echo(request), Echo(request)};
  });
  CHECK(totals.doubled > 0);
  CHECK(totals.lost + totals.wrong == 0);
}

TEST_CASE("Requests without an answer are lost, on both ways", "[chaos]") {
  const LedgerTotals totals =
      Load([](const auto&) { return std::vector<ModelInferResponse>(); }, milliseconds(0));
  CHECK(totals.requests >= 40);
  CHECK(totals.lost == totals.requests);
}

TEST_CASE("Errors are counted by code; those on a stream have none", "[chaos]") {
  const LedgerTotals totals = Load([](const ModelInferRequest& request) {
    ModelInferResponse error;
    error.set_id(request.id());
    return std::vector{error};
  });
  CHECK(totals.errors.at("UNAVAILABLE") >= 20);
  CHECK(totals.errors.at("ON_STREAM") >= 20);
  CHECK(totals.error_count() == totals.requests);
}

TEST_CASE("A poisoned request that is answered well is wrong, and has an account of its own",
          "[chaos]") {
  FakeServer server([](const auto& request) { return std::vector{Echo(request)}; });
  CheckedLoad load({server.target(), 1, 99});
  load.SendPoison(kPoisonModel);
  load.Finish(seconds(60));
  CHECK(load.ledger().sent() == 0);
  CHECK(load.poison_ledger().Totals().wrong == 1);
}

}  // namespace
}  // namespace tandem::client
