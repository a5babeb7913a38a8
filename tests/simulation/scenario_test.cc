#include "simulation/scenario.h"

#include <string>

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
  CHECK(ErrorOf("{\n  \"slo_ms\": 5,,\n}") ==
        "the file is not JSON: line 2, column 15, in `\"slo_ms\": 5,,`");
  CHECK(absl::StrContains(ErrorOf("[]"), "expected an object"));
  CHECK(absl::StrContains(ErrorOf(R"({"slo_ms": 50})"), "pools"));
  CHECK(absl::StrContains(ErrorOf(R"({"slo_ms": 0})"), "from 0.001 to 3600000, got 0"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("sloo": 1)")), "scenario.sloo: no such field"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("cost_error": 2)")), "from 0 to 0.95, got 2"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("loads": [0])")), "loads"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("loads": [1e-300])")), "from 0.001 to 100, got 1e-300"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("loads": [100.1])")), "from 0.001 to 100, got 100.1"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("loads": [])")),
                          "loads: expected a list of one number or more, got none"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("arrivals": {"kind": "none"})")), "'none'"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("arrivals": {"kind": "gamma"})")), "burstiness"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("arrivals": {"kind": "replay", "file": "no_such.csv"})")),
                          "no_such.csv"));
  CHECK(absl::StrContains(ErrorOf(R"({"slo_ms": 1, "pools": [{"beta_ms": 2}]})"),
                          "no pool can answer"));
  CHECK(absl::StrContains(ErrorOf(R"({"slo_ms": 1, "pools": [{"alpha_ms": 0}]})"),
                          "pools[0].beta_ms"));
}

TEST_CASE("A batch takes a microsecond at least", "[simulation]") {
  const auto with = [](const std::string& times) {
    return R"({"slo_ms": 5, "pools": [{)" + times + "}]}";
  };
  CHECK(absl::StrContains(ErrorOf(with(R"("alpha_ms": 1e-300)")),
                          "expected at least 0.001 ms, got 1e-300"));
  CHECK(absl::StrContains(ErrorOf(with(R"("name": "x")")), "at least 0.001 ms, got 0"));
  CHECK(ErrorOf(with(R"("alpha_ms": 0.0005, "beta_ms": 0.0005)")).empty());
}

TEST_CASE("Counts are whole numbers", "[simulation]") {
  CHECK(absl::StrContains(ErrorOf(Json(R"("requests": 10.5)")),
                          "requests: expected a whole number from 1 to 10000000, got 10.5"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("requests": 100000000)")), "from 1 to 10000000"));
  CHECK(absl::StrContains(ErrorOf(Json(R"("seed": 1.5)")), "a whole number"));
  CHECK(absl::StrContains(
      ErrorOf(R"({"slo_ms": 5, "max_batch_size": 1.5, "pools": [{"beta_ms": 1}]})"),
      "max_batch_size: expected a whole number"));
  CHECK(absl::StrContains(ErrorOf(R"({"slo_ms": 5, "pools": [{"beta_ms": 1, "lanes": 1.5}]})"),
                          "pools[0].lanes: expected a whole number"));
  CHECK(ErrorOf(Json(R"("requests": 1e6)")).empty());
}

TEST_CASE("Pools have names of their own and are no more than 64", "[simulation]") {
  const auto with = [](const std::string& pools) {
    return R"({"slo_ms": 5, "pools": [)" + pools + "]}";
  };
  CHECK(absl::StrContains(
      ErrorOf(with(R"({"name": "a", "beta_ms": 1}, {"name": "a", "beta_ms": 2})")),
      "pools[1].name: another pool has the name 'a'"));
  CHECK(absl::StrContains(ErrorOf(with(R"({"beta_ms": 1}, {"beta_ms": 2})")),
                          "pools[1].name: another pool has the name 'cpu'"));
  const auto pools = [](int count) {
    std::string list;
    for (int i = 0; i < count; ++i) {
      list += (i > 0 ? "," : "") + (R"({"beta_ms": 1, "name": ")" + std::to_string(i)) + "\"}";
    }
    return list;
  };
  CHECK(ErrorOf(with(pools(64))).empty());
  CHECK(absl::StrContains(ErrorOf(with(pools(65))), "pools: expected at most 64, got 65"));
  const std::string many = R"({"kind": "cpu", "alpha_ms": 1, "lanes": 1024, "name": ")";
  std::string five;
  for (const char* name : {"a", "b", "c", "d", "e"})
    five += (five.empty() ? "" : ", ") + many + name + "\"}";
  CHECK(absl::StrContains(ErrorOf(with(five)),
                          "pools: expected at most 4096 lanes in all, got 5120"));
}

TEST_CASE("What is told of a scenario's values is printable and short", "[simulation]") {
  const std::string noise = "\\u001b" + std::string(10'000, 'x');
  const std::string nested = std::string(1000, '[') + std::string(1000, ']');
  for (const std::string& json :
       {Json("\"cost_error\": \"" + noise + "\""), Json("\"cost_error\": " + nested),
        Json("\"loads\": \"" + noise + "\""), Json("\"loads\": [" + nested + "]"),
        Json("\"arrivals\": {\"kind\": \"" + noise + "\"}"), Json("\"" + noise + "\": 1"),
        Json("\"name\": " + nested), "{\"slo_ms\": \x1b" + std::string(10'000, 'x')}) {
    const std::string error = ErrorOf(json);
    CAPTURE(error);
    CHECK_FALSE(error.empty());
    CHECK(error.size() < 250);
    CHECK_FALSE(absl::StrContains(error, "\x1b"));
  }
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
