#include "server/request_metrics.h"

#include <prometheus/text_serializer.h>

#include <string>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

Placement CpuPlacement(int64_t batch_size) {
  Placement placement;
  placement.pool = "cpu";
  placement.worker = "cpu/0";
  placement.batch_size = batch_size;
  placement.queue_time = std::chrono::milliseconds(2);
  placement.compute_time = std::chrono::milliseconds(3);
  return placement;
}

std::string Text(const prometheus::Registry& registry) {
  return prometheus::TextSerializer().Serialize(registry.Collect());
}

bool Holds(const std::string& text, const std::string& line) {
  return text.find(line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("Requests and batches are counted by model, version, pool and worker", "[metrics]") {
  prometheus::Registry registry;
  RequestMetrics metrics(registry);
  const std::string model = "echo";
  const absl::Status ok;
  const Placement placement = CpuPlacement(4);
  for (int i = 0; i < 2; ++i) {
    metrics.OnRequestDone({model, 1, ok, placement, std::chrono::milliseconds(6)});
  }
  metrics.OnBatchDone(model, 1, placement);
  const std::string text = Text(registry);
  CAPTURE(text);
  const std::string labels = R"(model="echo",pool="cpu",version="1",worker="cpu/0")";
  CHECK(Holds(text, R"(tandem_requests_total{code="OK",)" + labels + "} 2"));
  CHECK(Holds(text, "tandem_queue_duration_seconds_count{" + labels + "} 2"));
  CHECK(Holds(text, "tandem_batch_size_sum{" + labels + "} 4"));
  CHECK(Holds(text, R"(nv_inference_request_success{model="echo",version="1"} 2)"));
  CHECK(Holds(text, R"(nv_inference_count{model="echo",version="1"} 4)"));
  CHECK(Holds(text, R"(nv_inference_exec_count{model="echo",version="1"} 1)"));
}

TEST_CASE("Failures are counted by reason, also of requests that never ran", "[metrics]") {
  prometheus::Registry registry;
  RequestMetrics metrics(registry);
  const std::string model = "echo";
  const absl::Status full = absl::ResourceExhaustedError("the queue is full");
  metrics.OnRequestDone({model, 1, full, Placement{}, std::chrono::milliseconds(1)});
  const std::string text = Text(registry);
  CHECK(Holds(text, R"(tandem_request_failures_total{model="echo",reason="resource_exhausted",)"
                    R"(version="1"} 1)"));
  CHECK(
      Holds(text, R"(nv_inference_request_failure{model="echo",reason="REJECTED",version="1"} 1)"));
  CHECK(Holds(text, R"(nv_inference_request_success{model="echo",version="1"} 0)"));
}

TEST_CASE("A name that is no model's makes no series", "[metrics]") {
  prometheus::Registry registry;
  RequestMetrics metrics(registry);
  const absl::Status none = absl::NotFoundError("there is no such model");
  for (int i = 0; i < 3; ++i) {
    const std::string model = "guess" + std::to_string(i);
    metrics.OnRequestDone({model, 1, none, Placement{}, std::chrono::milliseconds(1)});
  }
  const std::string text = Text(registry);
  CHECK(text.find("guess") == std::string::npos);
  CHECK(text.find(R"(tandem_requests_total{code="NOT_FOUND",model="",)") != std::string::npos);
}

}  // namespace tandem::server
