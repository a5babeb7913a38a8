// What the router is worth beside the other ways to schedule, on traces small enough for each run.
// docs/scheduling.md holds the figures of the long ones.
#include <algorithm>
#include <map>

#include "simulation/baselines.h"
#include "simulation/experiment.h"
#include "simulation/router_simulation.h"
#include "tests/simulation/scenarios.h"
#include "tests/support/catch.h"

namespace tandem::simulation {
namespace {

std::map<std::string, Outcome> OutcomesAt(Scenario scenario, double load) {
  scenario.loads = {load};
  const auto experiment = RunExperiment(std::move(scenario));
  std::map<std::string, Outcome> outcomes;
  for (const Outcome& outcome : experiment->outcomes) outcomes[outcome.policy] = outcome;
  return outcomes;
}

// Policies run different batches, so that on a trace of this length the best of them may owe a part
// of this to chance.
constexpr double kChance = 0.995;

TEST_CASE("Goodput is near the fluid bound, and not below the best baseline", "[simulation]") {
  const double ratio = GENERATE(2.0, 3.0, 5.0, 10.0, 20.0, 50.0);
  const double burstiness = GENERATE(1.0, 2.0, 4.0, 8.0);
  const double load = GENERATE(0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5);
  CAPTURE(ratio, burstiness, load);
  const auto outcomes = OutcomesAt(TwoPools(ratio, burstiness, 0.3), load);
  const Outcome& tandem = outcomes.at("tandem");
  CHECK(tandem.goodput >= kLeastOfBound * tandem.fluid_bound);
  for (const Baseline baseline : Baselines()) {
    CAPTURE(NameOf(baseline));
    CHECK(tandem.goodput >= kChance * outcomes.at(std::string(NameOf(baseline))).goodput);
  }
}

TEST_CASE("The slow pool's help does not make the slowest answers slower", "[simulation]") {
  const double ratio = GENERATE(5.0, 10.0, 50.0);
  const double load = GENERATE(0.05, 0.3, 0.5, 0.7, 0.9, 0.95);
  CAPTURE(ratio, load);
  const auto outcomes = OutcomesAt(TwoPools(ratio), load);
  const double best = std::min(outcomes.at("gpu_only").p99_ms, outcomes.at("first_idle").p99_ms);
  CHECK(outcomes.at("tandem").p99_ms <= 1.05 * best);
}

TEST_CASE("Below capacity nobody is left waiting by two pools that count on each other",
          "[simulation]") {
  // Here each pool reckons that the other would answer the first of the line sooner.
  const auto outcomes = OutcomesAt(TwoPools(2), 0.9);
  CHECK(outcomes.at("tandem").slo_miss == 0);
}

TEST_CASE("No policy answers more in time than a fluid server", "[simulation]") {
  const double load = GENERATE(0.7, 1.0, 1.5);
  for (const auto& [policy, outcome] : OutcomesAt(TwoPools(5, 4), load)) {
    CAPTURE(policy, load);
    CHECK(outcome.goodput <= 1.001 * outcome.fluid_bound);
    CHECK(outcome.goodput > 0);
    CHECK(outcome.p50_ms <= outcome.p99_ms);
    for (const auto& [pool, share] : outcome.use) {
      CHECK(share >= 0);
      CHECK(share <= 1.001);
    }
  }
}

TEST_CASE("At little load nobody waits for the slow pool", "[simulation]") {
  const auto outcomes = OutcomesAt(TwoPools(50), 0.05);
  // A request alone takes 4.25 ms on the GPU pool, 17 ms or more on the CPU pool.
  CHECK(outcomes.at("tandem").p99_ms < 10);
  CHECK(outcomes.at("first_idle").p99_ms > 15);
}

TEST_CASE("Baselines do what their names say", "[simulation]") {
  const auto outcomes = OutcomesAt(TwoPools(5), 0.6);
  const auto use = [&](const char* policy, size_t pool) {
    return outcomes.at(policy).use[pool].second;
  };
  CHECK(use("gpu_only", 1) == 0);
  CHECK(use("gpu_only", 0) > 0.3);
  CHECK(use("static_split", 0) > 0.3);
  CHECK(use("static_split", 1) > 0.3);
  // Its batches hold one request, so that the GPU pool can do only a part of the load.
  CHECK(outcomes.at("earliest_finish").slo_miss > outcomes.at("gpu_only").slo_miss);
}

TEST_CASE("A run is the same each time", "[simulation]") {
  const Scenario scenario = TwoPools(5, 8, 0.3);
  const auto trace = MakeTrace(scenario, 1.0);
  const Outcome first = SimulateRouter(scenario, *trace);
  const Outcome second = SimulateRouter(scenario, *trace);
  CHECK(first.goodput == second.goodput);
  CHECK(first.p99_ms == second.p99_ms);
}

}  // namespace
}  // namespace tandem::simulation
