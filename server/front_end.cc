#include "server/front_end.h"

#include <prometheus/exposer.h>
#include <prometheus/registry.h>

#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/gauge_collector.h"
#include "server/grpc_server.h"
#include "server/health_reporter.h"
#include "server/http_server.h"
#include "server/inference_service.h"
#include "server/prediction_service.h"

namespace tandem::server {
namespace {

GrpcServerOptions GrpcOptions(const ServeOptions& options) {
  return {options.address, options.grpc_port, options.max_message_bytes};
}

HttpServerOptions HttpOptions(const ServeOptions& options) {
  return {options.address, options.http_port, options.max_message_bytes};
}

}  // namespace

class FrontEnd::Parts {
 public:
  Parts(const ServeOptions& options, const Clock& clock, Router& router, const ServingState& state,
        PoolReporter pools, std::shared_ptr<prometheus::Registry> requests)
      : options_(options),
        router_(router),
        state_(state),
        requests_(std::move(requests)),
        gauges_(std::make_shared<GaugeCollector>(router, pools)),
        inference_(clock, router, state),
        prediction_(clock, router, state, pools),
        grpc_(GrpcOptions(options)),
        http_(HttpOptions(options), clock, router, state) {}

  absl::Status Start() {
    absl::Status status = grpc_.Start({&inference_, &prediction_});
    if (status.ok()) status = http_.Start();
    if (status.ok()) status = StartMetrics();
    if (status.ok()) health_.emplace(router_, state_, grpc_);
    return status;
  }

  void RefreshHealth() {
    if (health_.has_value()) health_->Refresh();
  }

  void Stop(Duration grace) {
    health_.reset();
    http_.Stop();
    grpc_.Stop(grace);
    exposer_.reset();
  }

  Ports ports() const { return {grpc_.port(), http_.port(), metrics_port_}; }

 private:
  absl::Status StartMetrics() {
    const std::string address = absl::StrContains(options_.address, ':')
                                    ? absl::StrCat("[", options_.address, "]")
                                    : options_.address;
    // The library throws where the port is taken.
    try {
      exposer_ =
          std::make_unique<prometheus::Exposer>(absl::StrCat(address, ":", options_.metrics_port));
    } catch (const std::exception&) {
      return absl::UnavailableError(
          absl::StrCat("port ", options_.metrics_port, " of ", options_.address,
                       " cannot be listened on: it is taken, or not ours; choose another with "
                       "--metrics-port"));
    }
    exposer_->RegisterCollectable(requests_);
    exposer_->RegisterCollectable(gauges_);
    metrics_port_ = static_cast<uint16_t>(exposer_->GetListeningPorts().front());
    return absl::OkStatus();
  }

  const ServeOptions options_;
  const Router& router_;
  const ServingState& state_;
  // Shared with the metrics' server, which holds them weakly.
  const std::shared_ptr<prometheus::Registry> requests_;
  const std::shared_ptr<GaugeCollector> gauges_;
  InferenceService inference_;
  PredictionService prediction_;
  GrpcServer grpc_;
  HttpServer http_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  uint16_t metrics_port_ = 0;
  std::optional<HealthReporter> health_;
};

FrontEnd::FrontEnd(const ServeOptions& options, const Clock& clock, Router& router,
                   const ServingState& state, PoolReporter pools,
                   std::shared_ptr<prometheus::Registry> requests)
    : parts_(std::make_unique<Parts>(options, clock, router, state, std::move(pools),
                                     std::move(requests))) {}

FrontEnd::~FrontEnd() { Stop(Duration{0}); }

absl::Status FrontEnd::Start() { return parts_->Start(); }

void FrontEnd::RefreshHealth() { parts_->RefreshHealth(); }

void FrontEnd::Stop(Duration grace) { parts_->Stop(grace); }

Ports FrontEnd::ports() const { return parts_->ports(); }

}  // namespace tandem::server
