// The HTTP half of the protocol: health and metadata, and inference with tensors as JSON for small
// requests by hand. Start and Stop by one thread. Borrows router, clock and state, which outlive
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/clock.h"
#include "router/router.h"
#include "server/serving_state.h"

namespace tandem::server {

class ConnectionLimit;

struct HttpServerOptions {
  std::string address = "0.0.0.0";
  // 0: a free one.
  uint16_t port = 8000;
  uint64_t max_message_bytes = uint64_t{64} << 20;
  // Memory of all requests together, as much again while they are parsed, and as much of all
  // answers.
  uint64_t max_network_bytes = uint64_t{1} << 30;
  bool shares_port = false;
  // See ConnectionAcceptor.
  ConnectionLimit* connections = nullptr;
};

class HttpServer {
 public:
  HttpServer(const HttpServerOptions& options, const Clock& clock, Router& router,
             const ServingState& state);
  // Stops.
  ~HttpServer();

  // Takes the port and answers on it. See WhyNotListening for its errors.
  absl::Status Start();

  // Leaves the port, and serves on the connections that are there. Idempotent.
  void StopListening();
  // As HttpListener's.
  void Stop(Duration grace);

  uint16_t port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::server
