#include "simulation/arrival_trace.h"

#include <algorithm>
#include <random>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/printable.h"

namespace tandem::simulation {
namespace {

// About thirty years. Times in nanoseconds go not much further.
constexpr double kLongestSpanSeconds = 1e9;

absl::Status SpanError(double load) {
  return absl::InvalidArgumentError(
      absl::StrCat("loads: at ", load,
                   " the requests would arrive over more than thirty years; "
                   "ask for a greater load or fewer requests"));
}

Duration FromMs(double ms) { return Duration{static_cast<int64_t>(ms * 1e6)}; }

absl::StatusOr<ArrivalTrace> ReadCsv(const Scenario& scenario) {
  constexpr double kLongestTraceMs = 1e9;
  constexpr double kShortestSloMs = 0.001;
  ArrivalTrace trace;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(scenario.arrivals.csv, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    // The names of the columns.
    if (trace.empty() && number == 1 && absl::ascii_isalpha(line[0])) continue;
    const std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
    double at_ms = 0;
    double slo_ms = ToSeconds(scenario.slo) * 1e3;
    if (cells.size() > 2 || !absl::SimpleAtod(cells[0], &at_ms) ||
        (cells.size() == 2 && !absl::SimpleAtod(cells[1], &slo_ms)) || !(at_ms >= 0) ||
        !(slo_ms >= kShortestSloMs) || at_ms > kLongestTraceMs || slo_ms > kLongestTraceMs) {
      return absl::InvalidArgumentError(
          absl::StrCat("arrivals.file: line ", number,
                       ": expected a time in milliseconds and perhaps an SLO in milliseconds, ",
                       "0.001 at least, got '", Excerpt({line.data(), line.size()}), "'"));
    }
    if (trace.size() == kMostRequests) {
      return absl::InvalidArgumentError(absl::StrCat(
          "arrivals.file: line ", number, ": expected at most ", kMostRequests, " requests"));
    }
    trace.push_back({kTraceStart + FromMs(at_ms), {}});
    trace.back().deadline = trace.back().at + FromMs(slo_ms);
  }
  if (trace.size() < 2 || trace.front().at == trace.back().at) {
    return absl::InvalidArgumentError("arrivals.file: expected arrivals at two times or more");
  }
  std::sort(trace.begin(), trace.end(),
            [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  return trace;
}

double RateOf(const ArrivalTrace& trace) {
  return static_cast<double>(trace.size() - 1) / ToSeconds(trace.back().at - trace.front().at);
}

// The trace with its gaps stretched until it has that rate.
void Stretch(ArrivalTrace& trace, double rate) {
  const double factor = RateOf(trace) / rate;
  const TimePoint first = trace.front().at;
  for (Arrival& arrival : trace) {
    const Duration slo = arrival.deadline - arrival.at;
    const double gap = static_cast<double>((arrival.at - first).count());
    arrival.at = kTraceStart + Duration{static_cast<int64_t>(gap * factor)};
    arrival.deadline = arrival.at + slo;
  }
}

}  // namespace

absl::StatusOr<ArrivalTrace> MakeTrace(const Scenario& scenario, double load) {
  const double rate = load * FluidRate(scenario);
  if (scenario.arrivals.kind == Arrivals::Kind::kReplay) {
    absl::StatusOr<ArrivalTrace> trace = ReadCsv(scenario);
    if (!trace.ok()) return trace.status();
    if (static_cast<double>(trace->size()) / rate > kLongestSpanSeconds) return SpanError(load);
    Stretch(*trace, rate);
    return trace;
  }
  std::mt19937_64 random(scenario.seed);
  const double shape = 1 / scenario.arrivals.burstiness;
  std::gamma_distribution<double> gap_s(shape, 1 / (rate * shape));
  ArrivalTrace trace(scenario.requests);
  double at_s = 0;
  for (Arrival& arrival : trace) {
    at_s += gap_s(random);
    if (at_s > kLongestSpanSeconds) return SpanError(load);
    arrival.at = kTraceStart + Duration{static_cast<int64_t>(at_s * 1e9)};
    arrival.deadline = arrival.at + scenario.slo;
  }
  return trace;
}

absl::StatusOr<double> LoadOfReplay(const Scenario& scenario) {
  const absl::StatusOr<ArrivalTrace> trace = ReadCsv(scenario);
  if (!trace.ok()) return trace.status();
  return RateOf(*trace) / FluidRate(scenario);
}

}  // namespace tandem::simulation
