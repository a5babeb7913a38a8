#include "client/bench/load_report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tandem::client {
namespace {

using std::chrono::nanoseconds;

constexpr int kPlotRows = 10;

double Micros(nanoseconds time) { return std::chrono::duration<double, std::micro>(time).count(); }

// Milliseconds with three digits that count.
std::string Millis(nanoseconds time) {
  const double ms = Micros(time) / 1e3;
  const int decimals = ms < 1 ? 3 : ms < 10 ? 2 : ms < 100 ? 1 : 0;
  return absl::StrFormat("%.*f", decimals, ms);
}

// "-" where there is none.
std::string MillisAt(const LatencyHistogram& latencies, double quantile) {
  return latencies.count() == 0 ? "-" : Millis(latencies.Quantile(quantile));
}

std::string LevelText(const LoadLevel& level) {
  if (level.concurrency > 0) return absl::StrCat(level.concurrency);
  return absl::StrFormat("%g/s%s", level.rate, level.poisson ? " Poisson" : "");
}

// `part` of a full bar, in eighths of a character.
std::string Bar(double part, size_t width) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths =
      static_cast<size_t>(std::lround(std::clamp(part, 0.0, 1.0) * static_cast<double>(width) * 8));
  std::string bar;
  for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

struct BarRow {
  std::string label;
  double value;
  std::string text;
};

std::string RenderBars(const std::vector<BarRow>& rows, size_t width) {
  size_t label_width = 0;
  double largest = 0;
  for (const BarRow& row : rows) {
    label_width = std::max(label_width, row.label.size());
    largest = std::max(largest, row.value);
  }
  std::string plot;
  for (const BarRow& row : rows) {
    absl::StrAppend(&plot, std::string(label_width - row.label.size(), ' '), row.label, " ",
                    Bar(largest > 0 ? row.value / largest : 0, width), " ", row.text, "\n");
  }
  return plot;
}

// Equal steps up to the 99th of a hundred; the rest in one row, since it may reach far.
std::string RenderLatencies(const LatencyHistogram& latencies, size_t width) {
  if (latencies.count() == 0) return "";
  const nanoseconds low = latencies.min();
  const nanoseconds high = latencies.Quantile(0.99);
  std::vector<BarRow> rows;
  uint64_t before = 0;
  const auto add = [&](const std::string& label, nanoseconds up_to) {
    const uint64_t calls = latencies.CountUpTo(up_to) - before;
    before += calls;
    const double part = static_cast<double>(calls) / static_cast<double>(latencies.count());
    rows.push_back({label, part, absl::StrFormat("%.1f %%", part * 100)});
  };
  for (int step = 1; step <= kPlotRows; ++step) {
    const nanoseconds edge = low + (high - low) * step / kPlotRows;
    if (step < kPlotRows && edge == low) continue;
    add(absl::StrCat("to ", Millis(edge), " ms"), edge);
  }
  if (before < latencies.count())
    add(absl::StrCat("to ", Millis(latencies.max()), " ms"), latencies.max());
  return absl::StrCat("Latencies\n", RenderBars(rows, width));
}

}  // namespace

nlohmann::json ToJson(const LoadResult& result) {
  nlohmann::json json;
  if (result.level.concurrency > 0) {
    json["concurrency"] = result.level.concurrency;
  } else {
    json["rate"] = result.level.rate;
    json["poisson"] = result.level.poisson;
    json["held_back"] = result.held_back;
    json["unsent"] = result.unsent;
  }
  const LatencyHistogram& latencies = result.latencies;
  json["calls"] = latencies.count();
  json["failures"] = result.failures;
  json["first_failure"] = result.first_failure;
  if (result.refusals.count() > 0) {
    json["refused"] = {{"calls", result.refusals.count()},
                       {"p50_us", Micros(result.refusals.Quantile(0.5))},
                       {"p99_us", Micros(result.refusals.Quantile(0.99))}};
  }
  json["calls_per_second"] = result.calls_per_second;
  if (result.within_slo_per_second.has_value()) {
    json["within_slo_per_second"] = *result.within_slo_per_second;
  }
  json["client_cores"] = result.client_cores;
  const auto micros = [&](const char* name, nanoseconds time) {
    json["latency_us"][name] =
        latencies.count() > 0 ? nlohmann::json(Micros(time)) : nlohmann::json();
  };
  micros("min", latencies.min());
  micros("mean", latencies.mean());
  micros("p50", latencies.Quantile(0.5));
  micros("p90", latencies.Quantile(0.9));
  micros("p95", latencies.Quantile(0.95));
  micros("p99", latencies.Quantile(0.99));
  micros("p999", latencies.Quantile(0.999));
  micros("max", latencies.max());
  return json;
}

std::string RenderTable(const std::vector<LoadResult>& results, const Style& style) {
  const bool is_open = !results.empty() && results.front().level.concurrency == 0;
  std::vector<std::string> columns = {is_open ? "RATE" : "CALLS AT A TIME",
                                      "CALLS/S",
                                      "P50 MS",
                                      "P90 MS",
                                      "P99 MS",
                                      "P99.9 MS",
                                      "MAX MS",
                                      "FAILED"};
  if (is_open) columns.push_back("UNSENT");
  columns.push_back("CLIENT CORES");
  TextTable table(std::move(columns));
  for (const LoadResult& result : results) {
    const LatencyHistogram& latencies = result.latencies;
    std::vector<std::string> row = {LevelText(result.level),
                                    absl::StrFormat("%.1f", result.calls_per_second)};
    for (const double quantile : {0.5, 0.9, 0.99, 0.999})
      row.push_back(MillisAt(latencies, quantile));
    row.push_back(latencies.count() == 0 ? "-" : Millis(latencies.max()));
    row.push_back(absl::StrCat(result.failures));
    if (is_open) row.push_back(absl::StrCat(result.unsent));
    row.push_back(absl::StrFormat("%.2f", result.client_cores));
    table.AddRow(std::move(row));
  }
  return table.Render(style);
}

std::string RenderPlot(const std::vector<LoadResult>& results, size_t width) {
  if (results.size() == 1) return RenderLatencies(results.front().latencies, width);
  std::vector<BarRow> rows;
  for (const LoadResult& result : results) {
    rows.push_back({LevelText(result.level), result.calls_per_second,
                    absl::StrFormat("%.0f/s, p99 %s ms", result.calls_per_second,
                                    MillisAt(result.latencies, 0.99))});
  }
  return absl::StrCat("Calls a second\n", RenderBars(rows, width));
}

std::string Remark(const LoadResult& result) {
  const bool is_open = result.level.concurrency == 0;
  const std::string where =
      is_open ? LevelText(result.level) : LevelText(result.level) + " at a time";
  const std::string unsent = absl::StrCat(
      result.unsent, " calls that were due in the measured time were never sent, since ",
      "more was asked than the server or this client can do");
  if (result.latencies.count() > 0)
    return result.unsent == 0 ? "" : absl::StrCat(where, ": ", unsent, "; no latency has them");
  std::string text = absl::StrCat(where, ": no call of the measured time was answered");
  if (result.unsent > 0) return absl::StrCat(text, "; ", unsent);
  if (result.failures > 0) return absl::StrCat(text, "; ", result.failures, " failed");
  return absl::StrCat(where,
                      is_open ? ": no call was due in the measured time"
                              : ": no call was answered within the measured time",
                      "; give a longer --seconds");
}

}  // namespace tandem::client
