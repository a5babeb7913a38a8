#include "server/grpc_server.h"

#include <arpa/inet.h>
#include <google/protobuf/empty.pb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "core/retry_hint.h"
#include "server/unary_responder.h"
#include "tests/server/buffers.h"
#include "tests/server/grpc_client.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

using std::chrono::system_clock;

constexpr Duration kPatience = std::chrono::minutes(1);

// Gives the request back at once.
class Echo final : public UnaryResponder {
 public:
  using UnaryResponder::UnaryResponder;

 private:
  void Answer(const grpc::ByteBuffer& request) override { call().Finish(request); }
};

// Gives the request back from another thread.
class PostedEcho final : public UnaryResponder {
 public:
  using UnaryResponder::UnaryResponder;
  ~PostedEcho() override { thread_.join(); }

 private:
  void Answer(const grpc::ByteBuffer& request) override {
    thread_ =
        std::thread([this, request] { call().Post([this, request] { call().Finish(request); }); });
  }

  std::thread thread_;
};

// The same as the answer that the call waits for.
class ExpectedEcho final : public UnaryResponder {
 public:
  using UnaryResponder::UnaryResponder;
  ~ExpectedEcho() override { thread_.join(); }

 private:
  void Answer(const grpc::ByteBuffer& request) override {
    call().Expect();
    thread_ = std::thread(
        [this, request] { call().Answer([this, request] { call().Finish(request); }); });
  }

  std::thread thread_;
};

// Gives each message back, one after the other.
class StreamEcho final : public Responder {
 public:
  explicit StreamEcho(Call& call) : call_(call) {}

  void OnMessage(const grpc::ByteBuffer& message) override { call_.Write(message); }
  void OnWritten(bool) override { call_.Read(); }
  void OnNoMessage() override { call_.Finish(absl::OkStatus()); }

 private:
  Call& call_;
};

// Gives messages back, and ends when the server wants to.
class OpenStream final : public Responder {
 public:
  explicit OpenStream(Call& call) : call_(call) {}

  void OnMessage(const grpc::ByteBuffer& message) override { call_.Write(message); }
  void OnNoMessage() override {}
  void OnDrain() override { call_.Finish(absl::UnavailableError("it is over")); }

 private:
  Call& call_;
};

// Ends no sooner than its client has gone.
class Patient final : public UnaryResponder {
 public:
  Patient(Call& call, absl::Notification& began, absl::Notification& cancelled)
      : UnaryResponder(call), began_(began), cancelled_(cancelled) {}

  void OnCancel() override {
    call().Finish(absl::CancelledError("the client has gone"));
    cancelled_.Notify();
  }

 private:
  void Answer(const grpc::ByteBuffer&) override { began_.Notify(); }

  absl::Notification& began_;
  absl::Notification& cancelled_;
};

template <typename Kind>
Call::MakeResponder Make() {
  return [](Call& call) { return std::make_unique<Kind>(call); };
}

// A method "/t/Wait" of a Patient, and what it tells.
struct PatientMethod {
  absl::Notification began;
  absl::Notification cancelled;

  Call::Methods Methods() {
    return {{"/t/Wait",
             [this](Call& call) { return std::make_unique<Patient>(call, began, cancelled); }}};
  }
};

}  // namespace

TEST_CASE("A call is answered by the responder of its method", "[grpc_server]") {
  TestServer server({{"/t/Echo", Make<Echo>()}});
  const auto channel = server.Connect();
  for (const std::string& text : {std::string("once"), std::string(), std::string(100'000, 'x')}) {
    const UnaryAnswer answer = AskOnce(channel, "/t/Echo", text);
    CHECK(answer.status.ok());
    CHECK(answer.message == text);
  }
}

TEST_CASE("A method that is not there is refused by its name", "[grpc_server]") {
  TestServer server({{"/t/Echo", Make<Echo>()}});
  const UnaryAnswer answer = AskOnce(server.Connect(), "/t/Shout", "x");
  CHECK(answer.status.error_code() == grpc::StatusCode::UNIMPLEMENTED);
  CHECK(answer.status.error_message() == "there is no method /t/Shout");
}

TEST_CASE("A call that brings no request is refused", "[grpc_server]") {
  TestServer server({{"/t/Echo", Make<Echo>()}});
  ClientCall call(server.Connect(), "/t/Echo");
  call.WriteEnd();
  CHECK(!call.Read().has_value());
  CHECK(call.Finish().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("Answers come from any thread, for one client and for many at once", "[grpc_server]") {
  const uint32_t threads = GENERATE(1u, 3u);
  const int client_count = GENERATE(1, 8);
  const std::string method = GENERATE(as<std::string>(), "/t/Posted", "/t/Expected");
  TestServer server({{"/t/Posted", Make<PostedEcho>()}, {"/t/Expected", Make<ExpectedEcho>()}},
                    threads);
  std::vector<std::future<int>> clients;
  for (int client = 0; client < client_count; ++client) {
    clients.push_back(std::async(std::launch::async, [&server, &method, client] {
      const auto channel = server.Connect();
      int right = 0;
      for (int i = 0; i < 50; ++i) {
        const std::string text = std::to_string(client * 1000 + i);
        right += AskOnce(channel, method, text).message == text ? 1 : 0;
      }
      return right;
    }));
  }
  for (std::future<int>& client : clients) CHECK(client.get() == 50);
}

TEST_CASE("A stream's messages go both ways while it is open", "[grpc_server]") {
  TestServer server({{"/t/Stream", Make<StreamEcho>()}});
  ClientCall call(server.Connect(), "/t/Stream");
  for (const std::string& text : {std::string("one"), std::string("two"), std::string("three")}) {
    REQUIRE(call.Write(text));
    CHECK(call.Read() == text);
  }
  call.WriteEnd();
  CHECK(!call.Read().has_value());
  CHECK(call.Finish().ok());
}

TEST_CASE("Open streams hear that the server will end, those that come later too",
          "[grpc_server]") {
  TestServer server({{"/t/Open", Make<OpenStream>()}, {"/t/Echo", Make<Echo>()}}, 2);
  const auto channel = server.Connect();
  ClientCall early(channel, "/t/Open");
  REQUIRE(early.Write("x"));
  REQUIRE(early.Read() == "x");
  server.Drain();
  ClientCall late(channel, "/t/Open");
  for (ClientCall* const call : {&early, &late}) {
    CHECK(!call->Read().has_value());
    CHECK(call->Finish().error_message() == "it is over");
  }
  CHECK(AskOnce(channel, "/t/Echo", "y").message == "y");
}

TEST_CASE("A server awaits the answers of calls that brought a request, and no others",
          "[grpc_server]") {
  PatientMethod method;
  Call::Methods methods = method.Methods();
  methods["/t/Echo"] = Make<Echo>();
  TestServer server(std::move(methods), 2);
  const auto channel = server.Connect();
  // Its request never comes.
  ClientCall silent(channel, "/t/Echo");
  server.Drain();
  server.AwaitAnswers(kPatience);
  ClientCall call(channel, "/t/Wait");
  call.Write("x");
  method.began.WaitForNotification();
  auto had_ended = std::async(std::launch::async, [&] {
    server.AwaitAnswers(kPatience);
    return method.cancelled.HasBeenNotified();
  });
  call.Cancel();
  CHECK(had_ended.get());
}

TEST_CASE("A responder hears that its client has gone", "[grpc_server]") {
  PatientMethod method;
  TestServer server(method.Methods());
  ClientCall call(server.Connect(), "/t/Wait");
  call.Write("x");
  method.began.WaitForNotification();
  call.Cancel();
  CHECK(method.cancelled.WaitForNotificationWithTimeout(absl::FromChrono(kPatience)));
  CHECK(call.Finish().error_code() == grpc::StatusCode::CANCELLED);
}

TEST_CASE("A responder hears that its client's deadline has passed", "[grpc_server]") {
  PatientMethod method;
  TestServer server(method.Methods());
  ClientCall call(server.Connect(), "/t/Wait",
                  system_clock::now() + std::chrono::milliseconds(500));
  call.Write("x");
  CHECK(method.cancelled.WaitForNotificationWithTimeout(absl::FromChrono(kPatience)));
  CHECK(call.Finish().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_CASE("A stop cancels what does not end in time, and leaves nothing behind", "[grpc_server]") {
  PatientMethod method;
  TestServer server(method.Methods());
  ClientCall call(server.Connect(), "/t/Wait");
  call.Write("x");
  method.began.WaitForNotification();
  server.Stop(std::chrono::milliseconds(1));
  CHECK(method.cancelled.HasBeenNotified());
  CHECK(!call.Finish().ok());
}

TEST_CASE("A connection that does not say that it speaks HTTP/2 is closed", "[grpc_server]") {
  GrpcServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  options.greeting_timeout = std::chrono::milliseconds(100);
  GrpcServer server(options);
  REQUIRE(server.Start({}).ok());
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  // The server's own greeting, and then its end: long before it would ask for a sign of life.
  const timeval patience{30, 0};
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  char byte = 0;
  ssize_t received = 0;
  while ((received = recv(client, &byte, 1, 0)) > 0) {
  }
  CHECK((received == 0 || errno == ECONNRESET));
  close(client);
}

TEST_CASE("An error that passes by itself says when to try again", "[grpc_server]") {
  TestServer server({{"/t/Busy", AnswerMessage<google::protobuf::Empty>([](const auto&) {
                        return absl::StatusOr<google::protobuf::Empty>(WithRetryAfter(
                            absl::ResourceExhaustedError("busy"), std::chrono::seconds(2)));
                      })}});
  ClientCall call(server.Connect(), "/t/Busy");
  call.Write("");
  call.WriteEnd();
  const grpc::Status status = call.Finish();
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto& trailers = call.context().GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  REQUIRE(pushback != trailers.end());
  const int milliseconds = std::stoi(std::string(pushback->second.data(), pushback->second.size()));
  CHECK(milliseconds >= 2000);
  CHECK(milliseconds <= 3000);
}

}  // namespace tandem::server
