#include "server/gauge_collector.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/process_usage.h"

namespace tandem::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using LabelList = std::vector<ClientMetric::Label>;

MetricFamily NewFamily(const char* name, const char* help, MetricType type = MetricType::Gauge) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void Add(MetricFamily& family, LabelList labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

void AppendModels(const Router& router, std::vector<MetricFamily>* families) {
  MetricFamily ready = NewFamily("tandem_model_ready", "1 where the model version can answer.");
  MetricFamily queue = NewFamily("tandem_queue_length", "Requests that wait for a lane.");
  MetricFamily pending =
      NewFamily("nv_inference_pending_request_count", "Number of requests that wait to be run.");
  MetricFamily alpha = NewFamily("tandem_predicted_batch_base_seconds",
                                 "What any batch is predicted to take on the pool.");
  MetricFamily beta = NewFamily("tandem_predicted_batch_row_seconds",
                                "What each row of a batch is predicted to add to that.");
  MetricFamily error =
      NewFamily("tandem_prediction_error_ratio",
                "A batch's time over the predicted one, by quantile of the latest batches.");
  for (const ModelStatus& model : router.Models()) {
    const LabelList labels{{"model", model.name}, {"version", VersionText(model.version)}};
    Add(ready, labels, model.state == ModelState::kReady ? 1 : 0);
    Add(queue, labels, static_cast<double>(model.queued));
    Add(pending, labels, static_cast<double>(model.queued));
    for (const PoolCost& cost : model.costs) {
      LabelList of_pool = labels;
      of_pool.push_back({"pool", cost.pool});
      Add(alpha, of_pool, ToSeconds(cost.alpha));
      Add(beta, of_pool, ToSeconds(cost.beta));
      for (const auto& [quantile, value] :
           {std::pair("0.5", cost.error_p50), std::pair("0.9", cost.error_p90),
            std::pair("0.99", cost.error_p99)}) {
        LabelList of_quantile = of_pool;
        of_quantile.push_back({"quantile", quantile});
        Add(error, of_quantile, value);
      }
    }
  }
  for (MetricFamily* family : {&ready, &queue, &pending, &alpha, &beta, &error}) {
    families->push_back(std::move(*family));
  }
}

void AppendRequests(const RouterGauges& gauges, std::vector<MetricFamily>* families) {
  MetricFamily bytes =
      NewFamily("tandem_bytes_in_flight", "Bytes of the inputs of all requests that are held.");
  Add(bytes, {}, static_cast<double>(gauges.bytes_in_flight));
  MetricFamily requests = NewFamily("tandem_requests_in_flight", "Requests that wait or run.");
  Add(requests, {}, static_cast<double>(gauges.requests_in_flight));
  MetricFamily quarantined = NewFamily("tandem_quarantined_requests",
                                       "Requests that are refused since they ended two workers.");
  Add(quarantined, {}, static_cast<double>(gauges.quarantined));
  for (MetricFamily* family : {&bytes, &requests, &quarantined}) {
    families->push_back(std::move(*family));
  }
}

void AppendConnections(ConnectionLimit& connections, std::vector<MetricFamily>* families) {
  MetricFamily open = NewFamily("tandem_connections", "Connections of all ports.");
  Add(open, {}, static_cast<double>(connections.open()));
  MetricFamily shut_down = NewFamily(
      "tandem_connections_shut_down_total",
      "Idle connections that were shut down to make room for new ones.", MetricType::Counter);
  Add(shut_down, {}, static_cast<double>(connections.shut_down()));
  for (MetricFamily* family : {&open, &shut_down}) families->push_back(std::move(*family));
}

void AppendProcesses(const std::vector<PoolReport>& pools, std::vector<MetricFamily>* families) {
  MetricFamily memory = NewFamily("tandem_process_resident_memory_bytes",
                                  "Resident memory of the server and of each worker.");
  MetricFamily cpu = NewFamily("tandem_process_cpu_seconds_total",
                               "CPU time of the server and of each worker.", MetricType::Counter);
  const auto add = [&](const std::string& process, int64_t pid) {
    const std::optional<ProcessUsage> usage = ReadProcessUsage(pid);
    if (!usage.has_value()) return;
    Add(memory, {{"process", process}}, static_cast<double>(usage->resident_bytes));
    Add(cpu, {{"process", process}}, usage->cpu_seconds);
  };
  add("server", 0);
  for (const PoolReport& pool : pools) {
    for (const WorkerReport& worker : pool.workers) {
      if (worker.pid > 0) add(worker.name, worker.pid);
    }
  }
  families->push_back(std::move(memory));
  families->push_back(std::move(cpu));
}

void AppendWorkers(const std::vector<PoolReport>& pools, std::vector<MetricFamily>* families) {
  MetricFamily used =
      NewFamily("tandem_arena_used_bytes", "Bytes of the worker's input arena that are taken.");
  MetricFamily size = NewFamily("tandem_arena_bytes", "Bytes of the worker's input arena.");
  MetricFamily up = NewFamily("tandem_worker_ready", "1 where the worker takes work.");
  MetricFamily restarts =
      NewFamily("tandem_worker_restarts_total", "Times that the worker was started again.",
                MetricType::Counter);
  for (const PoolReport& pool : pools) {
    for (const WorkerReport& worker : pool.workers) {
      const LabelList labels{{"pool", pool.name}, {"worker", worker.name}};
      Add(used, labels, static_cast<double>(worker.input_arena_used));
      Add(size, labels, static_cast<double>(worker.input_arena_bytes));
      Add(up, labels, worker.state == "ready" ? 1 : 0);
      Add(restarts, labels, static_cast<double>(worker.restarts));
    }
  }
  for (MetricFamily* family : {&used, &size, &up, &restarts}) {
    families->push_back(std::move(*family));
  }
}

}  // namespace

std::vector<MetricFamily> GaugeCollector::Collect() const {
  std::vector<MetricFamily> families;
  AppendModels(router_, &families);
  AppendRequests(router_.Gauges(), &families);
  AppendConnections(connections_, &families);
  const std::vector<PoolReport> pools = pools_();
  AppendWorkers(pools, &families);
  AppendProcesses(pools, &families);
  return families;
}

}  // namespace tandem::server
