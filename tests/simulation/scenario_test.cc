#include "simulation/scenario.h"

#include "absl/strings/match.h"
#include "simulation/experiment.h"
#include "simulation/shipped_scenarios.h"
#include "tests/simulation/scenarios.h"
#include "tests/support/catch.h"

namespace tandem::simulation {
namespace {

constexpr const char* kPools =
    R"("pools": [{"kind": "gpu", "alpha_ms": 4, "beta_ms": 0.25}, {"beta_ms": 2, "lanes": 2}])";

std::string Json(const std::string& more) {
  return std::string("{\"slo_ms\": 50, \"max_batch_size\": 16, ") + kPools +
         (more.empty() ? "" : ", " + more) + "}";
}

std::string ErrorOf(const std::string& json) {
  const auto scenario = ParseScenario(json, "test", ".");
  return scenario.ok() ? "" : std::string(scenario.status().message());
}

TEST_CASE("A scenario is read with its defaults", "[simulation]") {
  const auto scenario = ParseScenario(Json(""), "test", ".");
  REQUIRE(scenario.ok());
  CHECK(scenario->name == "test");
  REQUIRE(scenario->pools.size() == 2);
  CHECK(scenario->pools[0].kind == PoolKind::kGpu);
  CHECK(scenario->pools[0].TimeOf(8) == std::chrono::milliseconds(6));
  CHECK(scenario->pools[1].name == "cpu");
  CHECK(scenario->pools[1].lanes == 2);
  CHECK(scenario->slo == std::chrono::milliseconds(50));
  CHECK(scenario->loads.size() == 7);
  CHECK(scenario->arrivals.burstiness == 1.0);
}

TEST_CASE("A table shows what is no text as spaces", "[simulation]") {
  const auto scenario = ParseScenario(Json(R"("name": "red\u001b[31m")"), "test", ".");
  REQUIRE(scenario.ok());
  const std::string table = ToTable({*scenario, {}, 0});
  CHECK(absl::StrContains(table, "red [31m"));
  CHECK_FALSE(absl::StrContains(table, "\x1b"));
}

TEST_CASE("What is wrong in a scenario is named", "[simulation]") {
  CHECK(absl::StrContains(ErrorOf("{"), "not JSON"));
  CHECK(absl::StrContains(ErrorOf("[]"), "expected an object"));
  CHECK(absl::StrContains(ErrorOf(R"({"slo_ms": 50})"), "pools"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("sloo": 1)")), "scenario.sloo: no such field"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("cost_error": 2)")), "from 0 to 0.95, got 2"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("loads": [0])")), "loads"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("loads": [])")), "loads: expected a list of numbers"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("arrivals": {"kind": "none"})")), "'none'"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("arrivals": {"kind": "gamma"})")), "burstiness"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("arrivals": {"kind": "replay", "file": "no_such.csv"})")),
                          "no_such.csv"));
  CHECK(absl::StrContains(ErrorOf(R"({"slo_ms": 1, "pools": [{"beta_ms": 2}]})"),
                          "no pool can answer"));
  CHECK(absl::StrContains(ErrorOf(R"({"slo_ms": 1, "pools": [{"alpha_ms": 0}]})"),
                          "pools[0].beta_ms"));
}

TEST_CASE("The fluid rate is the sum of each lane's best rate within the SLO", "[simulation]") {
  const auto scenario = ParseScenario(Json(""), "test", ".");
  REQUIRE(scenario.ok());
  // 16 rows in 8 ms; 1 row in 2 ms on each of two lanes.
  CHECK(FluidRate(*scenario) == Approx(16 / 0.008 + 2 / 0.002));
  Scenario tight = *scenario;
  // Eight rows take 6 ms.
  tight.slo = std::chrono::milliseconds(6);
  CHECK(FluidRate(tight) == Approx(8 / 0.006 + 2 / 0.002));
}

TEST_CASE("Every scenario that comes along can be read", "[simulation]") {
  CHECK(ShippedScenarios().size() >= 8);
  for (const ShippedScenario& shipped : ShippedScenarios()) {
    CAPTURE(shipped.name);
    const auto scenario = ParseScenario(shipped.json, std::string(shipped.name), ".");
    REQUIRE(scenario.ok());
    CHECK_FALSE(scenario->about.empty());
  }
}

}  // namespace
}  // namespace tandem::simulation
