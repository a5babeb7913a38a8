// The gRPC server: its port, limits, methods and the threads that serve them. Start and Stop by one
// thread. Its methods are served from Start until Stop.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"
#include "server/call.h"
#include "server/call_queue.h"
#include "server/connection_acceptor.h"

namespace grpc::experimental {
class ExternalConnectionAcceptor;
}  // namespace grpc::experimental

namespace tandem::server {

struct GrpcServerOptions {
  std::string address = "0.0.0.0";
  // 0: a free one.
  uint16_t port = 8001;
  uint64_t max_message_bytes = uint64_t{64} << 20;
  // Calls of one connection at a time; more wait at the client.
  uint32_t max_streams_per_connection = 1024;
  // Of a call's metadata.
  uint64_t max_metadata_bytes = uint64_t{16} << 10;
  // For the buffers of all connections.
  uint64_t max_network_bytes = uint64_t{1} << 30;
  // A connection that is older is asked to make room for a new one; its calls end. 0: never.
  Duration max_connection_age = std::chrono::minutes(2);
  // For a new connection to say that it speaks HTTP/2.
  Duration greeting_timeout = std::chrono::seconds(20);
  // Another server listens on the port too, for the time of a take-over.
  bool shares_port = false;
  // Threads that read requests and write answers, each for its share of the connections.
  uint32_t threads = 1;
  // See ConnectionAcceptor.
  ConnectionLimit* connections = nullptr;
};

class GrpcServer {
 public:
  // `router` as in CallQueue.
  explicit GrpcServer(GrpcServerOptions options, Router* router = nullptr);
  // Stops at once.
  ~GrpcServer();

  // Takes the port and serves the methods. See WhyNotListening for its errors.
  absl::Status Start(Call::Methods methods);

  // Leaves the port, and serves on the connections that are there. Idempotent.
  void StopListening();

  // Asks streams to end once they owe no answer. After Start, before Stop.
  void Drain();
  // Returns when every call that has brought a message has its answer, or after `most`. After
  // Drain.
  void AwaitAnswers(Duration most);

  // Takes no more calls, and returns when the last has ended; after `grace` those that are left are
  // cancelled. Idempotent.
  void Stop(Duration grace);

  // The port that is listened on.
  uint16_t port() const { return acceptor_.port(); }

 private:
  void Take(int listener, int connection) const;

  GrpcServerOptions options_;
  Router* const router_;
  Call::Methods methods_;
  // Whatever a client calls.
  grpc::AsyncGenericService service_;
  std::vector<std::unique_ptr<CallQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
  // Where the server takes connections from.
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> entrance_;
  ConnectionAcceptor acceptor_;
};

}  // namespace tandem::server
