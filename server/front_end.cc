#include "server/front_end.h"

#include <prometheus/registry.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "server/connection_limit.h"
#include "server/core_plan.h"
#include "server/gauge_collector.h"
#include "server/grpc_server.h"
#include "server/health_reporter.h"
#include "server/health_service.h"
#include "server/http_server.h"
#include "server/inference_service.h"
#include "server/metrics_server.h"
#include "server/prediction_service.h"
#include "server/reflection_service.h"
#include "server/unsent_answers.h"

namespace tandem::server {
namespace {

// For connections to be closed in order. Some clients never answer.
constexpr Duration kGoodbye = std::chrono::milliseconds(200);

GrpcServerOptions GrpcOptions(const ServeOptions& options, bool shares_ports,
                              ConnectionLimit* connections) {
  GrpcServerOptions grpc;
  grpc.address = options.address;
  grpc.port = options.grpc_port;
  grpc.max_message_bytes = options.max_message_bytes;
  grpc.max_streams_per_connection = options.max_streams_per_connection;
  grpc.max_metadata_bytes = options.max_metadata_bytes;
  grpc.max_network_bytes = options.max_network_bytes;
  grpc.max_connection_age = options.max_connection_age;
  grpc.shares_port = shares_ports;
  grpc.threads = options.grpc_threads > 0 ? options.grpc_threads : PlanGrpcThreads(options);
  grpc.connections = connections;
  return grpc;
}

// A worker's output arena holds so many answers (docs/worker_protocol.md).
constexpr uint64_t kArenaPlaces = 4096;

UnsentLimits UnsentLimitsOf(const ServeOptions& options) {
  uint64_t arena = std::numeric_limits<uint64_t>::max();
  for (const PoolSpec& pool : options.pools) arena = std::min(arena, pool.output_arena_bytes);
  UnsentLimits limits;
  limits.kept = arena / 4;
  limits.kept_of_client = limits.kept / 4;
  limits.least_place = arena / kArenaPlaces;
  limits.copied = options.max_network_bytes / 2;
  limits.copied_of_client = limits.copied / 4;
  return limits;
}

HttpServerOptions HttpOptions(const ServeOptions& options, bool shares_ports,
                              ConnectionLimit* connections) {
  return {options.address,           options.http_port, options.max_message_bytes,
          options.max_network_bytes, shares_ports,      connections};
}

}  // namespace

class FrontEnd::Parts {
 public:
  Parts(const ServeOptions& options, const Clock& clock, Router& router, const ServingState& state,
        ModelControl& models, const PoolReporter& pools, const prometheus::Registry& requests,
        bool shares_ports, const LogSink& log)
      : clock_(clock),
        router_(router),
        state_(state),
        connections_(options.max_connections, clock, log),
        gauges_(router, pools, connections_),
        unsent_(UnsentLimitsOf(options)),
        inference_(clock, router, state, models, unsent_),
        prediction_(clock, router, state, unsent_, pools),
        grpc_(GrpcOptions(options, shares_ports, &connections_), &router),
        http_(HttpOptions(options, shares_ports, &connections_), clock, router, state),
        metrics_(options.address, options.metrics_port, shares_ports, {&requests, &gauges_},
                 &connections_) {}

  absl::Status Start() {
    // Not before the models have loaded.
    health_.SetServing("", false);
    Call::Methods methods;
    inference_.AddTo(methods);
    prediction_.AddTo(methods);
    health_.AddTo(methods);
    reflection_.AddTo(methods);
    absl::Status status = grpc_.Start(std::move(methods));
    if (status.ok()) status = http_.Start();
    if (status.ok()) status = metrics_.Start();
    if (status.ok()) reporter_.emplace(router_, state_, health_);
    return status;
  }

  void RefreshHealth() {
    if (reporter_.has_value()) reporter_->Refresh();
  }

  void StopListening() {
    grpc_.StopListening();
    http_.StopListening();
    metrics_.StopListening();
  }

  void Drain() {
    RefreshHealth();
    grpc_.Drain();
  }

  void Stop(Duration grace) {
    reporter_.reset();
    health_.Stop();
    const TimePoint until = clock_.Now() + grace;
    http_.Stop(grace);
    if (grace.count() > 0) grpc_.AwaitAnswers(std::max(Duration{0}, until - clock_.Now()));
    grpc_.Stop(std::min(grace, kGoodbye));
    metrics_.Stop(kGoodbye);
  }

  Ports ports() const { return {grpc_.port(), http_.port(), metrics_.port()}; }

 private:
  const Clock& clock_;
  const Router& router_;
  const ServingState& state_;
  ConnectionLimit connections_;
  const GaugeCollector gauges_;
  UnsentAnswers unsent_;
  InferenceService inference_;
  PredictionService prediction_;
  HealthService health_;
  ReflectionService reflection_;
  GrpcServer grpc_;
  HttpServer http_;
  MetricsServer metrics_;
  std::optional<HealthReporter> reporter_;
};

FrontEnd::FrontEnd(const ServeOptions& options, const Clock& clock, Router& router,
                   const ServingState& state, ModelControl& models, const PoolReporter& pools,
                   const prometheus::Registry& requests, bool shares_ports, const LogSink& log)
    : parts_(std::make_unique<Parts>(options, clock, router, state, models, pools, requests,
                                     shares_ports, log)) {}

FrontEnd::~FrontEnd() { Stop(Duration{0}); }

absl::Status FrontEnd::Start() { return parts_->Start(); }

void FrontEnd::RefreshHealth() { parts_->RefreshHealth(); }

void FrontEnd::StopListening() { parts_->StopListening(); }

void FrontEnd::Drain() { parts_->Drain(); }

void FrontEnd::Stop(Duration grace) { parts_->Stop(grace); }

Ports FrontEnd::ports() const { return parts_->ports(); }

}  // namespace tandem::server
