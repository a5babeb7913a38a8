#include "server/metrics_server.h"

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <iterator>
#include <utility>

#include "server/http_listener.h"

namespace tandem::server {
namespace {

// Scrapers are few and come every few seconds: a connection for each call costs nothing, and none
// is left open that the server's end would have to wait for.
HttpListenerOptions ListenerOptions(std::string address, uint16_t port, bool shares_port,
                                    ConnectionLimit* connections) {
  HttpListenerOptions options;
  options.address = std::move(address);
  options.port = port;
  options.port_flag = "metrics-port";
  options.what_is_here = "the metrics are at /metrics";
  options.calls_per_connection = 1;
  options.shares_port = shares_port;
  options.connections = connections;
  return options;
}

}  // namespace

MetricsServer::MetricsServer(std::string address, uint16_t port, bool shares_port,
                             std::vector<const prometheus::Collectable*> collected,
                             ConnectionLimit* connections)
    : collected_(std::move(collected)),
      listener_(std::make_unique<HttpListener>(
          ListenerOptions(std::move(address), port, shares_port, connections))) {
  listener_->routes().Get("/metrics", [this](const httplib::Request&, httplib::Response& reply) {
    std::vector<prometheus::MetricFamily> families;
    for (const prometheus::Collectable* source : collected_) {
      std::vector<prometheus::MetricFamily> some = source->Collect();
      families.insert(families.end(), std::make_move_iterator(some.begin()),
                      std::make_move_iterator(some.end()));
    }
    reply.set_content(prometheus::TextSerializer().Serialize(families),
                      "text/plain; version=0.0.4; charset=utf-8");
  });
}

MetricsServer::~MetricsServer() = default;

absl::Status MetricsServer::Start() { return listener_->Start(); }

void MetricsServer::StopListening() { listener_->StopListening(); }

void MetricsServer::Stop(Duration grace) { listener_->Stop(grace); }

uint16_t MetricsServer::port() const { return listener_->port(); }

}  // namespace tandem::server
