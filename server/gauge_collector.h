// Reads the server's present state when Prometheus asks: queues, bytes in flight, arenas, restarts,
// memory and time of the processes, connections, and which models are ready. Thread-safe. Borrows
// the router and the connections, which outlive it.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <vector>

#include "router/router.h"
#include "server/connection_limit.h"
#include "server/pool_report.h"

namespace tandem::server {

class GaugeCollector : public prometheus::Collectable {
 public:
  GaugeCollector(const Router& router, PoolReporter pools, ConnectionLimit& connections)
      : router_(router), pools_(std::move(pools)), connections_(connections) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Router& router_;
  const PoolReporter pools_;
  ConnectionLimit& connections_;
};

}  // namespace tandem::server
