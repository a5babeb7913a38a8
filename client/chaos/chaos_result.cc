#include "client/chaos/chaos_result.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace tandem::client {
namespace {

using std::chrono::nanoseconds;

double ToMillis(nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// To the microsecond.
double Rounded(nanoseconds time) { return std::round(ToMillis(time) * 1e3) / 1e3; }

// The times of some deaths.
struct DeathTimes {
  uint64_t deaths = 0;
  LatencyHistogram detected;
  LatencyHistogram detected_after_signal;
  LatencyHistogram back;
};

// Of one cause; nothing: of all.
DeathTimes TimesOf(const ChaosResult& result, std::optional<FaultKind> kind) {
  DeathTimes times;
  if (!result.deaths.has_value()) return times;
  for (const WorkerDeath& death : *result.deaths) {
    if (kind.has_value() && death.kind != kind) continue;
    ++times.deaths;
    if (death.detected_after.has_value()) times.detected.Record(*death.detected_after);
    if (death.detected_after_signal.has_value())
      times.detected_after_signal.Record(*death.detected_after_signal);
    if (death.back_after.has_value()) times.back.Record(*death.back_after);
  }
  return times;
}

// By the server's log, which also tells of a worker that is not back; without it, by the restarts.
uint64_t WorkerDeaths(const ChaosResult& result) {
  return result.deaths.has_value() ? result.deaths->size() : result.worker_restarts;
}

nlohmann::json P99(const LatencyHistogram& histogram) {
  if (histogram.count() == 0) return nullptr;
  return Rounded(histogram.Quantile(0.99));
}

nlohmann::json Longest(const LatencyHistogram& histogram) {
  if (histogram.count() == 0) return nullptr;
  return Rounded(histogram.max());
}

uint64_t FaultCount(const ChaosResult& result) {
  uint64_t count = 0;
  for (const uint64_t of_kind : result.faults) count += of_kind;
  return count;
}

nlohmann::json FaultsJson(const ChaosResult& result) {
  nlohmann::json kinds = nlohmann::json::object();
  for (const FaultKind kind : kAllFaults) {
    const uint64_t caused = result.faults[static_cast<size_t>(kind)];
    const DeathTimes times = TimesOf(result, kind);
    if (caused + times.deaths == 0) continue;
    kinds[Name(kind)] = {{"faults", caused},
                         {"worker_deaths", result.deaths.has_value() ? nlohmann::json(times.deaths)
                                                                     : nlohmann::json()},
                         {"detect_ms_p99", P99(times.detected)},
                         {"detect_ms_max", Longest(times.detected)},
                         {"detect_after_signal_ms_p99", P99(times.detected_after_signal)},
                         {"recover_ms_p99", P99(times.back)},
                         {"recover_ms_max", Longest(times.back)}};
  }
  return kinds;
}

std::string Cell(const LatencyHistogram& histogram, double quantile) {
  if (histogram.count() == 0) return "-";
  return absl::StrFormat("%.1f", ToMillis(histogram.Quantile(quantile)));
}

std::string FaultTable(const ChaosResult& result, const Style& style) {
  TextTable table({"FAULT", "CAUSED", "WORKERS DIED", "KNOWN AFTER MS: P50", "P99", "MAX",
                   "BACK AFTER MS: P50", "P99", "MAX"});
  const auto add = [&table](const std::string& name, const std::string& caused,
                            const std::string& died, const DeathTimes& times) {
    table.AddRow({name, caused, died, Cell(times.detected, 0.5), Cell(times.detected, 0.99),
                  Cell(times.detected, 1), Cell(times.back, 0.5), Cell(times.back, 0.99),
                  Cell(times.back, 1)});
  };
  uint64_t explained = 0;
  for (const FaultKind kind : kAllFaults) {
    const uint64_t caused = result.faults[static_cast<size_t>(kind)];
    const DeathTimes times = TimesOf(result, kind);
    explained += times.deaths;
    if (caused + times.deaths == 0) continue;
    add(Name(kind), absl::StrCat(caused),
        result.deaths.has_value() ? absl::StrCat(times.deaths) : "-", times);
  }
  const DeathTimes all = TimesOf(result, std::nullopt);
  if (all.deaths > explained) add("(no fault)", "-", absl::StrCat(all.deaths - explained), {});
  add("all", absl::StrCat(FaultCount(result)), absl::StrCat(WorkerDeaths(result)), all);
  return table.Render(style);
}

std::string PhaseTable(const ChaosResult& result, const Style& style) {
  TextTable table({"PHASE", "ANSWERED", "P50 MS", "P99 MS", "MAX MS"});
  for (const auto& [name, latencies] :
       {std::pair("quiet", &result.quiet), std::pair("faults", &result.among_faults)}) {
    table.AddRow({name, absl::StrCat(latencies->count()), Cell(*latencies, 0.5),
                  Cell(*latencies, 0.99), Cell(*latencies, 1)});
  }
  return table.Render(style);
}

std::string ErrorText(const LedgerTotals& totals) {
  if (totals.errors.empty()) return "none";
  return absl::StrJoin(totals.errors, ", ", [](std::string* out, const auto& error) {
    absl::StrAppend(out, error.second, " ", error.first);
  });
}

std::string Failures(const ChaosResult& result) {
  std::string text;
  const LedgerTotals& load = result.load;
  const LedgerTotals& poisons = result.poisons;
  const std::pair<uint64_t, const char*> counts[] = {
      {load.lost + poisons.lost, "requests had no answer"},
      {load.wrong + poisons.wrong, "answers were wrong"},
      {load.doubled + poisons.doubled, "answers came twice"},
      {result.parent_deaths, "times the server died"}};
  for (const auto& [count, what] : counts) {
    if (count > 0) absl::StrAppend(&text, "FAILED: ", count, " ", what, "\n");
  }
  if (result.growth.has_value() && IsLeak(*result.growth)) {
    absl::StrAppend(&text, "FAILED: the server holds more than before the faults\n");
  }
  if (!result.recovered && result.parent_deaths == 0) {
    absl::StrAppend(&text, "FAILED: not every worker came back\n");
  }
  return text;
}

}  // namespace

bool Passed(const ChaosResult& result) { return Failures(result).empty(); }

nlohmann::json ToJson(const ChaosResult& result) {
  const DeathTimes times = TimesOf(result, std::nullopt);
  nlohmann::json report = {{"seed", result.seed},
                           {"seconds", std::round(result.seconds * 10) / 10},
                           {"requests", result.load.requests + result.poisons.requests},
                           {"faults", FaultCount(result)},
                           {"faults_planned", result.planned},
                           {"faults_by_kind", FaultsJson(result)},
                           {"lost", result.load.lost + result.poisons.lost},
                           {"wrong", result.load.wrong + result.poisons.wrong},
                           {"doubled", result.load.doubled + result.poisons.doubled},
                           {"errors", result.load.errors},
                           {"fault_requests", result.poisons.requests},
                           {"fault_request_errors", result.poisons.errors},
                           {"parent_deaths", result.parent_deaths},
                           {"worker_deaths", WorkerDeaths(result)},
                           {"recovered", result.recovered},
                           {"detect_ms_p99", P99(times.detected)},
                           {"detect_ms_max", Longest(times.detected)},
                           {"detect_after_signal_ms_p99", P99(times.detected_after_signal)},
                           {"detect_after_signal_ms_max", Longest(times.detected_after_signal)},
                           {"recover_ms_p99", P99(times.back)},
                           {"recover_ms_max", Longest(times.back)},
                           {"p99_ms", P99(result.among_faults)},
                           {"p99_ms_quiet", P99(result.quiet)},
                           {"parent_rss_growth_bytes", nullptr},
                           {"parent_fd_growth", nullptr},
                           {"parent_thread_growth", nullptr},
                           {"passed", Passed(result)}};
  if (result.growth.has_value()) {
    report["parent_rss_growth_bytes"] = result.growth->resident_bytes;
    report["parent_fd_growth"] = result.growth->descriptors;
    report["parent_thread_growth"] = result.growth->threads;
  }
  return report;
}

std::string Render(const ChaosResult& result, const Style& style) {
  const LedgerTotals& load = result.load;
  std::string text = absl::StrCat(FaultTable(result, style), "\n", PhaseTable(result, style), "\n");
  const double part = load.requests == 0 ? 0
                                         : 100.0 * static_cast<double>(load.error_count()) /
                                               static_cast<double>(load.requests);
  absl::StrAppendFormat(&text, "%d requests, %d lost, %d wrong, %d doubled\n", load.requests,
                        load.lost + result.poisons.lost, load.wrong + result.poisons.wrong,
                        load.doubled + result.poisons.doubled);
  absl::StrAppendFormat(&text, "Errors: %s (%.4f %%)\n", ErrorText(load), part);
  if (result.poisons.requests > 0) {
    absl::StrAppend(&text, "Answers to the ", result.poisons.requests,
                    " requests that were faults: ", ErrorText(result.poisons), "\n");
  }
  absl::StrAppend(&text, "Deaths: ", result.parent_deaths, " of the server, ", WorkerDeaths(result),
                  " of workers\n");
  if (result.growth.has_value()) {
    absl::StrAppendFormat(&text, "The server grew by %.1f MB, %d descriptors, %d threads\n",
                          static_cast<double>(result.growth->resident_bytes) / 1e6,
                          result.growth->descriptors, result.growth->threads);
  }
  return text + style.Bad(Failures(result));
}

}  // namespace tandem::client
