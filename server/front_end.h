// Everything that listens: gRPC, HTTP and metrics. Made once, started once; Start and Stop by one
// thread. Borrows what it is made with, which outlives it.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "core/clock.h"
#include "core/log.h"
#include "router/router.h"
#include "server/model_control.h"
#include "server/pool_report.h"
#include "server/serve_options.h"
#include "server/serving_state.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace tandem::server {

struct Ports {
  uint16_t grpc = 0;
  uint16_t http = 0;
  uint16_t metrics = 0;
};

class FrontEnd {
 public:
  // `requests`: the registry with what is counted. `shares_ports`: another server listens on them
  // too, for the time of a take-over.
  FrontEnd(const ServeOptions& options, const Clock& clock, Router& router,
           const ServingState& state, ModelControl& models, const PoolReporter& pools,
           const prometheus::Registry& requests, bool shares_ports, const LogSink& log);
  // Stops at once.
  ~FrontEnd();

  // Takes the three ports and answers on them. See WhyNotListening for its errors.
  absl::Status Start();

  // Health tells the present state when it returns. Thread-safe after Start.
  void RefreshHealth();

  // Leaves the ports, and serves on the connections that are there. After Start. Idempotent.
  void StopListening();

  // Health tells it, and open streams end once they owe no answer. After Start, before Stop.
  void Drain();

  // Takes no more calls, lets those that have brought a request have their answers, for `grace` at
  // most, and cuts off what is left. Idempotent.
  void Stop(Duration grace);

  // After Start.
  Ports ports() const;

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace tandem::server
