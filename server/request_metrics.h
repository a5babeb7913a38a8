// Counts and times of requests and batches, for Prometheus: those of Tandem, and those that
// dashboards of Triton read. Thread-safe. Handles are looked up once for each model and worker, so
// that no label is built per request.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/log.h"
#include "router/router.h"

namespace tandem::server {

class RequestMetrics : public RouterObserver {
 public:
  // Registers its families with the registry, which outlives it. `log` hears of paused models.
  explicit RequestMetrics(prometheus::Registry& registry, LogSink log = nullptr);

  void OnRequestDone(const RequestRecord& record) override;
  void OnBatchDone(const std::string& model, int64_t version, const Placement& placement) override;
  void OnRetry(const std::string& model, int64_t version) override;
  void OnCondemned(const std::string& model, int64_t version, const std::string& how) override;
  void OnBatchSplit(const std::string& model, int64_t version, std::string_view pool) override;
  void OnPause(const std::string& model, int64_t version, Duration pause) override;

 private:
  static constexpr int kCodeCount = 17;
  using Cell = std::atomic<prometheus::Counter*>;

  // Of one model version on one worker; the worker is empty for requests that never ran.
  struct Series {
    prometheus::Labels labels;
    // By status code; made when first needed.
    std::array<Cell, kCodeCount> requests{};
    std::array<Cell, kCodeCount> failures{};
    std::array<Cell, kCodeCount> nv_failures{};
    // By the reason; likewise.
    std::array<Cell, kPlacementReasonNames.size()> fallbacks{};
    prometheus::Histogram* request_duration = nullptr;
    prometheus::Histogram* queue_duration = nullptr;
    prometheus::Histogram* compute_duration = nullptr;
    prometheus::Histogram* batch_size = nullptr;
    // Triton's names.
    prometheus::Counter* success = nullptr;
    prometheus::Counter* inferences = nullptr;
    prometheus::Counter* executions = nullptr;
    prometheus::Counter* request_us = nullptr;
    prometheus::Counter* queue_us = nullptr;
    prometheus::Counter* compute_us = nullptr;
  };
  using Key = std::tuple<std::string, int64_t, std::string, std::string>;
  using KeyView = std::tuple<std::string_view, int64_t, std::string_view, std::string_view>;

  Series& Find(std::string_view model, int64_t version, const Placement& placement);
  std::unique_ptr<Series> MakeSeries(const KeyView& key);
  void CountFallback(Series& series, PlacementReason reason);
  void CountFailure(Series& series, absl::StatusCode code);

  const LogSink log_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Counter>& failures_;
  prometheus::Family<prometheus::Counter>& retries_;
  prometheus::Family<prometheus::Counter>& pauses_;
  prometheus::Family<prometheus::Counter>& splits_;
  prometheus::Family<prometheus::Counter>& fallbacks_;
  prometheus::Family<prometheus::Histogram>& request_duration_;
  prometheus::Family<prometheus::Histogram>& queue_duration_;
  prometheus::Family<prometheus::Histogram>& compute_duration_;
  prometheus::Family<prometheus::Histogram>& batch_size_;
  prometheus::Family<prometheus::Counter>& nv_success_;
  prometheus::Family<prometheus::Counter>& nv_failure_;
  prometheus::Family<prometheus::Counter>& nv_count_;
  prometheus::Family<prometheus::Counter>& nv_exec_count_;
  prometheus::Family<prometheus::Counter>& nv_request_us_;
  prometheus::Family<prometheus::Counter>& nv_queue_us_;
  prometheus::Family<prometheus::Counter>& nv_compute_us_;

  absl::Mutex mutex_;
  std::map<Key, std::unique_ptr<Series>, std::less<>> series_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem::server
