// A client of any method, with bytes in and out, that waits for each step. Not thread-safe.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "server/call.h"
#include "server/grpc_server.h"

namespace tandem::server {

// Serves the methods on a free port of this host, until it is destroyed.
class TestServer {
 public:
  explicit TestServer(Call::Methods methods, uint32_t threads = 1);

  // Connected to it.
  std::shared_ptr<grpc::Channel> Connect() const;
  void Drain() { server_.Drain(); }
  void AwaitAnswers(Duration most) { server_.AwaitAnswers(most); }
  void Stop(Duration grace) { server_.Stop(grace); }

 private:
  GrpcServer server_;
};

// One call.
class ClientCall {
 public:
  ClientCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method);
  ClientCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
             std::chrono::system_clock::time_point deadline);
  // Ended.
  ~ClientCall();

  // False where the call has broken.
  bool Write(const std::string& message);
  void WriteEnd();
  // Nothing where no message comes any more.
  std::optional<std::string> Read();
  grpc::Status Finish();
  void Cancel() { context_.TryCancel(); }
  const grpc::ClientContext& context() const { return context_; }

 private:
  void Begin(const std::shared_ptr<grpc::Channel>& channel, const std::string& method);
  bool Await();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

// One request and the answer to it: an error is a status.
struct UnaryAnswer {
  grpc::Status status;
  std::string message;
};
UnaryAnswer AskOnce(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& request);

}  // namespace tandem::server
