#include "simulation/experiment.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/printable.h"
#include "simulation/baselines.h"
#include "simulation/fluid_bound.h"
#include "simulation/router_simulation.h"

namespace tandem::simulation {
namespace {

std::string UseText(const Outcome& outcome) {
  std::string text;
  for (const auto& [pool, share] : outcome.use) {
    absl::StrAppendFormat(&text, "%s%s %.0f%%", text.empty() ? "" : ", ", pool, share * 100);
  }
  return text;
}

}  // namespace

absl::StatusOr<Experiment> RunExperiment(Scenario scenario) {
  Experiment experiment;
  std::vector<double> loads = scenario.loads;
  if (loads.empty()) {
    const absl::StatusOr<double> load = LoadOfReplay(scenario);
    if (!load.ok()) return load.status();
    loads.push_back(*load);
  }
  for (const double load : loads) {
    const absl::StatusOr<ArrivalTrace> trace = MakeTrace(scenario, load);
    if (!trace.ok()) return trace.status();
    const double bound = FluidBound(*trace, FluidRate(scenario)) / SpanOf(*trace);
    const auto add = [&](Outcome outcome) {
      outcome.load = load;
      outcome.fluid_bound = bound;
      experiment.outcomes.push_back(std::move(outcome));
      experiment.requests += trace->size();
    };
    add(SimulateRouter(scenario, *trace));
    for (const Baseline baseline : Baselines()) add(SimulateBaseline(scenario, *trace, baseline));
  }
  experiment.scenario = std::move(scenario);
  return experiment;
}

std::string ToJson(const Experiment& experiment) {
  nlohmann::json list = nlohmann::json::array();
  for (const Outcome& outcome : experiment.outcomes) {
    nlohmann::json use = nlohmann::json::object();
    for (const auto& [pool, share] : outcome.use) use[pool] = share;
    list.push_back({{"policy", outcome.policy},
                    {"load", outcome.load},
                    {"goodput", outcome.goodput},
                    {"fluid_bound", outcome.fluid_bound},
                    {"p50_ms", outcome.p50_ms},
                    {"p99_ms", outcome.p99_ms},
                    {"slo_miss", outcome.slo_miss},
                    {"use", std::move(use)}});
  }
  return absl::StrCat(list.dump(2), "\n");
}

std::string ToTable(const Experiment& experiment) {
  const Scenario& scenario = experiment.scenario;
  std::string text = absl::StrFormat(
      "%s: SLO %.10g ms, the pools can do %.0f requests/s together\n\n"
      "%5s  %-15s %10s %9s %9s %9s %9s  %s\n",
      Printable(scenario.name), ToSeconds(scenario.slo) * 1e3, FluidRate(scenario), "LOAD",
      "POLICY", "GOODPUT/s", "OF BOUND", "P50 ms", "P99 ms", "SLO MISS", "USE");
  for (const Outcome& outcome : experiment.outcomes) {
    absl::StrAppendFormat(&text, "%5.2f  %-15s %10.1f %8.1f%% %9.2f %9.2f %8.2f%%  %s\n",
                          outcome.load, outcome.policy, outcome.goodput,
                          100 * outcome.goodput / outcome.fluid_bound, outcome.p50_ms,
                          outcome.p99_ms, 100 * outcome.slo_miss, UseText(outcome));
  }
  return text;
}

}  // namespace tandem::simulation
