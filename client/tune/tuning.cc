#include "client/tune/tuning.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tandem::client {
namespace {

// The clock's and the machine's own unrest: closer p99 are equal.
constexpr double kEqual = 1.05;

double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

double MostCalls(absl::Span<const TuneTrial> trials) {
  double most = 0;
  for (const TuneTrial& trial : trials) {
    if (trial.failure.empty()) most = std::max(most, trial.calls_per_second);
  }
  return most;
}

bool IsAsGood(const TuneTrial& trial, double most) {
  return trial.failure.empty() && trial.calls_per_second >= kAsGood * most;
}

auto Cost(const TuneSetting& setting) {
  return std::make_tuple(setting.lanes * setting.threads, setting.max_batch, setting.threads);
}

std::string Reason(const TuneTrial& trial, const TuneTrial& chosen, double most) {
  if (!trial.failure.empty()) return absl::StrCat("does not work: ", Printable(trial.failure));
  if (!IsAsGood(trial, most)) {
    return absl::StrFormat("%.0f %% fewer calls/s", (1 - trial.calls_per_second / most) * 100);
  }
  const double later = Milliseconds(trial.p99) / std::max(Milliseconds(chosen.p99), 1e-6);
  if (later > kEqual)
    return absl::StrFormat("as many calls/s, p99 %.0f %% later", (later - 1) * 100);
  return "as good, for more cores or a larger batch";
}

}  // namespace

std::vector<TuneSetting> DefaultSettings(uint32_t cores, const std::vector<uint32_t>& batches) {
  std::vector<TuneSetting> settings;
  std::vector<uint32_t> tried;
  for (const uint32_t lanes : {cores, cores / 2, cores / 4, uint32_t{1}}) {
    if (lanes == 0 || std::count(tried.begin(), tried.end(), lanes) > 0) continue;
    tried.push_back(lanes);
    for (const uint32_t batch : batches) settings.push_back({lanes, cores / lanes, batch});
  }
  // For a model so light that the front end needs the other cores more.
  if (cores > 1) {
    for (const uint32_t batch : batches) settings.push_back({1, 1, batch});
  }
  return settings;
}

std::vector<uint32_t> DefaultBatches(uint32_t most) {
  if (most <= 1) return {most};
  if (most == 2) return {1, 2};
  return {1, most / 2, most};
}

std::optional<size_t> ChooseSetting(absl::Span<const TuneTrial> trials) {
  const double most = MostCalls(trials);
  std::chrono::nanoseconds least = std::chrono::nanoseconds::max();
  for (const TuneTrial& trial : trials) {
    if (IsAsGood(trial, most)) least = std::min(least, trial.p99);
  }
  std::optional<size_t> chosen;
  for (size_t i = 0; i < trials.size(); ++i) {
    if (!IsAsGood(trials[i], most) || Milliseconds(trials[i].p99) > kEqual * Milliseconds(least))
      continue;
    if (!chosen.has_value() || Cost(trials[i].setting) < Cost(trials[*chosen].setting)) chosen = i;
  }
  return chosen;
}

std::string RuleText() {
  return absl::StrFormat(
      "The rule: the most calls/s; among those within %.0f %% of it the least p99; among those "
      "within %.0f %% of that the fewest cores, then the smallest batch.",
      (1 - kAsGood) * 100, (kEqual - 1) * 100);
}

std::string RenderTrials(absl::Span<const TuneTrial> trials, const Style& style) {
  const std::optional<size_t> chosen = ChooseSetting(trials);
  const double most = MostCalls(trials);
  TextTable table({"LANES", "THREADS", "MAX BATCH", "CALLS/S", "P50 MS", "P99 MS", "VERDICT"});
  for (size_t i = 0; i < trials.size(); ++i) {
    const TuneTrial& trial = trials[i];
    const bool works = trial.failure.empty();
    table.AddRow({absl::StrCat(trial.setting.lanes), absl::StrCat(trial.setting.threads),
                  trial.setting.max_batch > 0 ? absl::StrCat(trial.setting.max_batch) : "-",
                  works ? absl::StrFormat("%.1f", trial.calls_per_second) : "-",
                  works ? absl::StrFormat("%.2f", Milliseconds(trial.p50)) : "-",
                  works ? absl::StrFormat("%.2f", Milliseconds(trial.p99)) : "-",
                  chosen == i          ? style.Good("chosen")
                  : chosen.has_value() ? Reason(trial, trials[*chosen], most)
                                       : Reason(trial, trial, most)});
  }
  return table.Render(style);
}

}  // namespace tandem::client
