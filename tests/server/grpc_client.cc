#include "tests/server/grpc_client.h"

#include <grpcpp/create_channel.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

GrpcServerOptions TestOptions(uint32_t threads) {
  GrpcServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  options.threads = threads;
  return options;
}

}  // namespace

TestServer::TestServer(Call::Methods methods, uint32_t threads) : server_(TestOptions(threads)) {
  REQUIRE(server_.Start(std::move(methods)).ok());
}

std::shared_ptr<grpc::Channel> TestServer::Connect() const {
  grpc::ChannelArguments arguments;
  // Else channels of one address share a connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server_.port()),
                                   grpc::InsecureChannelCredentials(), arguments);
}

ClientCall::ClientCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method) {
  Begin(channel, method);
}

ClientCall::ClientCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                       std::chrono::system_clock::time_point deadline) {
  context_.set_deadline(deadline);
  Begin(channel, method);
}

ClientCall::~ClientCall() {
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void ClientCall::Begin(const std::shared_ptr<grpc::Channel>& channel, const std::string& method) {
  context_.set_wait_for_ready(true);
  stream_ = grpc::GenericStub(channel).PrepareCall(&context_, method, &queue_);
  stream_->StartCall(nullptr);
  Await();
}

bool ClientCall::Await() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool ClientCall::Write(const std::string& message) {
  stream_->Write(MakeBuffer(message, 1000), nullptr);
  return Await();
}

void ClientCall::WriteEnd() {
  stream_->WritesDone(nullptr);
  Await();
}

std::optional<std::string> ClientCall::Read() {
  grpc::ByteBuffer message;
  stream_->Read(&message, nullptr);
  if (!Await()) return std::nullopt;
  return BufferText(message);
}

grpc::Status ClientCall::Finish() {
  grpc::Status status;
  stream_->Finish(&status, nullptr);
  Await();
  return status;
}

UnaryAnswer AskOnce(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& request) {
  ClientCall call(channel, method);
  call.Write(request);
  call.WriteEnd();
  UnaryAnswer answer;
  answer.message = call.Read().value_or("");
  answer.status = call.Finish();
  return answer;
}

}  // namespace tandem::server
