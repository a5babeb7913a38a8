#include "simulation/outcome.h"

#include <algorithm>

namespace tandem::simulation {
namespace {

// The value that a share `q` of all do not exceed. Reorders.
double QuantileMs(std::vector<Duration>& values, double q) {
  if (values.empty()) return 0;
  const auto place = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return ToSeconds(values[static_cast<size_t>(place)]) * 1e3;
}

}  // namespace

void OutcomeRecorder::Answered(TimePoint arrival, TimePoint deadline, TimePoint finished) {
  latencies_.push_back(finished - arrival);
  if (finished <= deadline) ++in_time_;
  last_answer_ = std::max(last_answer_, finished);
}

Outcome OutcomeRecorder::Finish(std::string policy, const ArrivalTrace& trace) && {
  Outcome outcome;
  outcome.policy = std::move(policy);
  outcome.goodput = static_cast<double>(in_time_) / SpanOf(trace);
  outcome.p50_ms = QuantileMs(latencies_, 0.50);
  outcome.p99_ms = QuantileMs(latencies_, 0.99);
  outcome.slo_miss =
      1 - static_cast<double>(in_time_) / static_cast<double>(std::max<size_t>(trace.size(), 1));
  const double span = ToSeconds(last_answer_ - kTraceStart);
  for (size_t i = 0; i < scenario_.pools.size(); ++i) {
    const SimulatedPool& pool = scenario_.pools[i];
    outcome.use.emplace_back(pool.name, span > 0 ? ToSeconds(busy_[i]) / (span * pool.lanes) : 0);
  }
  return outcome;
}

double SpanOf(const ArrivalTrace& trace) {
  return trace.empty() ? 1 : std::max(1e-9, ToSeconds(trace.back().at - kTraceStart));
}

}  // namespace tandem::simulation
