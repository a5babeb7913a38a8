// The gRPC server: its port, limits and services. Not thread-safe but for what it says. Its
// services are served from Start until Stop.
#pragma once

#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"
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
  // Another server listens on the port too, for the time of a take-over.
  bool shares_port = false;
};

class GrpcServer {
 public:
  explicit GrpcServer(GrpcServerOptions options);
  // Stops at once.
  ~GrpcServer();

  // Takes the port and serves the services, which outlive this. See WhyNotListening for
  // its errors.
  absl::Status Start(const std::vector<grpc::Service*>& services);

  // Takes no more calls, and returns when the last has ended or was cut off after `grace`.
  // Idempotent.
  void Stop(Duration grace);

  // The port that is listened on.
  uint16_t port() const { return acceptor_.port(); }

  // Thread-safe. What grpc.health.v1 tells of a service, or of the server as a whole ("").
  void SetServing(const std::string& service, bool serving);

 private:
  void Take(int listener, int connection) const;

  GrpcServerOptions options_;
  std::unique_ptr<grpc::Server> server_;
  // Where the server takes connections from.
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> entrance_;
  ConnectionAcceptor acceptor_;
};

}  // namespace tandem::server
