// What came of a simulated trace. Values, and the recorder that makes one; not thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "simulation/arrival_trace.h"

namespace tandem::simulation {

struct Outcome {
  // "tandem", or the name of a baseline.
  std::string policy;
  // Arrivals over what the pools can do together.
  double load = 0;
  // Requests a second that were answered inside their deadlines, and that a fluid server would
  // have.
  double goodput = 0;
  double fluid_bound = 0;
  // Time to an answer, of those that were answered, in time or not.
  double p50_ms = 0;
  double p99_ms = 0;
  // Share of all requests that were not answered in time.
  double slo_miss = 0;
  // By pool: share of its lanes' time, from the first arrival to the last answer, that they ran.
  std::vector<std::pair<std::string, double>> use;
};

class OutcomeRecorder {
 public:
  explicit OutcomeRecorder(const Scenario& scenario) : scenario_(scenario) {
    busy_.resize(scenario.pools.size());
  }

  void Answered(TimePoint arrival, TimePoint deadline, TimePoint finished);
  // A lane of the pool ran for so long.
  void Ran(size_t pool, Duration time) { busy_[pool] += time; }

  // All but load and fluid_bound.
  Outcome Finish(std::string policy, const ArrivalTrace& trace) &&;

 private:
  const Scenario& scenario_;
  std::vector<Duration> busy_;
  std::vector<Duration> latencies_;
  uint64_t in_time_ = 0;
  TimePoint last_answer_ = kTraceStart;
};

// Seconds over which the trace's requests arrive: what turns counts into rates.
double SpanOf(const ArrivalTrace& trace);

}  // namespace tandem::simulation
