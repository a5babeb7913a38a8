// Serves the metrics to Prometheus, at /metrics. Start and Stop by one thread. Borrows what is
// collected, which outlives it and is thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"

namespace prometheus {
class Collectable;
}  // namespace prometheus

namespace tandem::server {

class ConnectionLimit;
class HttpListener;

class MetricsServer {
 public:
  // `shares_port` and `connections` as in http_listener.h.
  MetricsServer(std::string address, uint16_t port, bool shares_port,
                std::vector<const prometheus::Collectable*> collected,
                ConnectionLimit* connections = nullptr);
  // Stops.
  ~MetricsServer();

  // Takes the port and answers on it; 0: a free one. See WhyNotListening for its errors.
  absl::Status Start();

  // Leaves the port, and serves on the connections that are there. Idempotent.
  void StopListening();
  // As HttpListener's.
  void Stop(Duration grace);

  uint16_t port() const;

 private:
  const std::vector<const prometheus::Collectable*> collected_;
  const std::unique_ptr<HttpListener> listener_;
};

}  // namespace tandem::server
