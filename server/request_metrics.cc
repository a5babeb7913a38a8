#include "server/request_metrics.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::Registry;

// From 50 µs, less than one call takes, to 10 s.
Histogram::BucketBoundaries SecondsBuckets() {
  return {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
          0.025,   0.05,   0.1,     0.25,   0.5,   1.0,    2.5,   10.0};
}

Histogram::BucketBoundaries BatchBuckets() { return {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}; }

Family<Counter>& MakeCounters(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Histogram>& MakeHistograms(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

// "OK", "INVALID_ARGUMENT", …
std::string CodeName(absl::StatusCode code) { return absl::StatusCodeToString(code); }

// The reasons of Triton's failure counter.
const char* TritonReason(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kCancelled:
      return "CANCELED";
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
      return "REJECTED";
    case absl::StatusCode::kInternal:
      return "BACKEND";
    default:
      return "OTHER";
  }
}

Labels With(Labels labels, const char* name, std::string value) {
  labels[name] = std::move(value);
  return labels;
}

// Counts in the cell's counter, which is made when first needed.
template <typename MakeLabels>
void Count(std::atomic<Counter*>& cell, prometheus::Family<Counter>& family,
           const MakeLabels& make_labels) {
  Counter* counter = cell.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // The same counter for the same labels, so that a race is harmless.
    counter = &family.Add(make_labels());
    cell.store(counter, std::memory_order_release);
  }
  counter->Increment();
}

}  // namespace

RequestMetrics::RequestMetrics(Registry& registry, LogSink log)
    : log_(std::move(log)),
      requests_(MakeCounters(
          registry, "tandem_requests_total",
          "Requests that were answered, by status code; of no model where it is not known.")),
      failures_(MakeCounters(registry, "tandem_request_failures_total",
                             "Requests that failed, by reason.")),
      retries_(MakeCounters(registry, "tandem_request_retries_total",
                            "Requests that ran again since their worker had died.")),
      pauses_(MakeCounters(registry, "tandem_model_pauses_total",
                           "Times that a model was paused, since its requests ended workers.")),
      splits_(MakeCounters(registry, "tandem_batches_split_total",
                           "Batches that ran in parts, since the device's memory did not hold "
                           "them, or the model failed on one of their requests.")),
      fallbacks_(MakeCounters(registry, "tandem_fallback_requests_total",
                              "Requests that ran on another pool than their model's first choice, "
                              "by reason.")),
      request_duration_(MakeHistograms(registry, "tandem_request_duration_seconds",
                                       "Time from a request's arrival to its answer.")),
      queue_duration_(MakeHistograms(registry, "tandem_queue_duration_seconds",
                                     "Time that a request waited for a lane.")),
      compute_duration_(MakeHistograms(registry, "tandem_compute_duration_seconds",
                                       "Time that a request's batch ran in the worker.")),
      batch_size_(MakeHistograms(registry, "tandem_batch_size", "Rows of the batches that ran.")),
      nv_success_(MakeCounters(registry, "nv_inference_request_success",
                               "Number of successful inference requests.")),
      nv_failure_(MakeCounters(registry, "nv_inference_request_failure",
                               "Number of failed inference requests.")),
      nv_count_(MakeCounters(registry, "nv_inference_count",
                             "Number of inferences performed, each row of a batch counted.")),
      nv_exec_count_(
          MakeCounters(registry, "nv_inference_exec_count", "Number of batches that were run.")),
      nv_request_us_(MakeCounters(registry, "nv_inference_request_duration_us",
                                  "Summed time of requests in microseconds.")),
      nv_queue_us_(MakeCounters(registry, "nv_inference_queue_duration_us",
                                "Summed time in the queue in microseconds.")),
      nv_compute_us_(MakeCounters(registry, "nv_inference_compute_infer_duration_us",
                                  "Summed time of runs in microseconds.")) {}

void RequestMetrics::OnRequestDone(const RequestRecord& record) {
  const absl::StatusCode code = record.status.code();
  // A name that is no model's is chosen by the client; as a label it would grow without bound.
  const bool known = code != absl::StatusCode::kNotFound;
  Series& series = Find(known ? std::string_view(record.model) : std::string_view(),
                        known ? record.version : 0, record.placement);
  Count(series.requests[static_cast<size_t>(code) % kCodeCount], requests_,
        [&] { return With(series.labels, "code", CodeName(code)); });
  series.request_duration->Observe(ToSeconds(record.total_time));
  series.request_us->Increment(ToMicroseconds(record.total_time));
  if (!record.placement.pool.empty()) {
    series.queue_duration->Observe(ToSeconds(record.placement.queue_time));
    series.compute_duration->Observe(ToSeconds(record.placement.compute_time));
    series.queue_us->Increment(ToMicroseconds(record.placement.queue_time));
    series.compute_us->Increment(ToMicroseconds(record.placement.compute_time));
    CountFallback(series, record.placement.reason);
  }
  if (record.status.ok()) {
    series.success->Increment();
  } else {
    CountFailure(series, code);
  }
}

void RequestMetrics::OnBatchDone(const std::string& model, int64_t version,
                                 const Placement& placement) {
  Series& series = Find(model, version, placement);
  series.batch_size->Observe(static_cast<double>(placement.batch_size));
  series.inferences->Increment(static_cast<double>(placement.batch_size));
  series.executions->Increment();
}

void RequestMetrics::OnRetry(const std::string& model, int64_t version) {
  retries_.Add({{"model", model}, {"version", absl::StrCat(version)}}).Increment();
}

void RequestMetrics::OnCondemned(const std::string& model, int64_t version,
                                 const std::string& how) {
  if (log_ == nullptr) return;
  log_(LogLevel::kWarning, absl::StrCat("model ", model, " version ", version,
                                        ": a request ended two workers and is refused: ", how));
}

void RequestMetrics::OnBatchSplit(const std::string& model, int64_t version,
                                  std::string_view pool) {
  splits_.Add({{"model", model}, {"version", absl::StrCat(version)}, {"pool", std::string(pool)}})
      .Increment();
}

void RequestMetrics::OnPause(const std::string& model, int64_t version, Duration pause) {
  pauses_.Add({{"model", model}, {"version", absl::StrCat(version)}}).Increment();
  if (log_ == nullptr) return;
  log_(LogLevel::kWarning,
       absl::StrCat("model ", model, " version ", version, " is paused for ", ToSeconds(pause),
                    " s: its requests ended one worker after the other"));
}

void RequestMetrics::CountFallback(Series& series, PlacementReason reason) {
  if (!IsFallback(reason)) return;
  const size_t number = static_cast<size_t>(reason);
  Count(series.fallbacks[number], fallbacks_,
        [&] { return With(series.labels, "reason", std::string(kPlacementReasonNames[number])); });
}

void RequestMetrics::CountFailure(Series& series, absl::StatusCode code) {
  const size_t number = static_cast<size_t>(code) % kCodeCount;
  const auto labels = [&](std::string reason) {
    return Labels{{"model", series.labels.at("model")},
                  {"version", series.labels.at("version")},
                  {"reason", std::move(reason)}};
  };
  Count(series.failures[number], failures_,
        [&] { return labels(absl::AsciiStrToLower(CodeName(code))); });
  Count(series.nv_failures[number], nv_failure_, [&] { return labels(TritonReason(code)); });
}

RequestMetrics::Series& RequestMetrics::Find(std::string_view model, int64_t version,
                                             const Placement& placement) {
  const KeyView key(model, version, placement.pool, placement.worker);
  {
    absl::ReaderMutexLock lock(&mutex_);
    const auto found = series_.find(key);
    if (found != series_.end()) return *found->second;
  }
  absl::MutexLock lock(&mutex_);
  std::unique_ptr<Series>& series = series_[Key(key)];
  if (series == nullptr) series = MakeSeries(key);
  return *series;
}

std::unique_ptr<RequestMetrics::Series> RequestMetrics::MakeSeries(const KeyView& key) {
  const auto& [model, version, pool, worker] = key;
  auto series = std::make_unique<Series>();
  const Labels of_model{{"model", std::string(model)}, {"version", absl::StrCat(version)}};
  series->labels = of_model;
  series->labels["pool"] = std::string(pool);
  series->labels["worker"] = std::string(worker);
  const Labels& labels = series->labels;
  series->request_duration = &request_duration_.Add(labels, SecondsBuckets());
  series->queue_duration = &queue_duration_.Add(labels, SecondsBuckets());
  series->compute_duration = &compute_duration_.Add(labels, SecondsBuckets());
  series->batch_size = &batch_size_.Add(labels, BatchBuckets());
  series->success = &nv_success_.Add(of_model);
  series->inferences = &nv_count_.Add(of_model);
  series->executions = &nv_exec_count_.Add(of_model);
  series->request_us = &nv_request_us_.Add(of_model);
  series->queue_us = &nv_queue_us_.Add(of_model);
  series->compute_us = &nv_compute_us_.Add(of_model);
  return series;
}

}  // namespace tandem::server
