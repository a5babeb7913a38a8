#include "absl/strings/match.h"
#include "simulation/arrival_trace.h"
#include "simulation/fluid_bound.h"
#include "simulation/outcome.h"
#include "tests/simulation/scenarios.h"
#include "tests/support/catch.h"

namespace tandem::simulation {
namespace {

using std::chrono::milliseconds;

Scenario Replay(std::string csv) {
  Scenario scenario = TwoPools(5);
  scenario.arrivals.kind = Arrivals::Kind::kReplay;
  scenario.arrivals.csv = std::move(csv);
  return scenario;
}

ArrivalTrace At(std::vector<int> at_ms, int slo_ms) {
  ArrivalTrace trace;
  for (const int at : at_ms) {
    trace.push_back({kTraceStart + milliseconds(at), kTraceStart + milliseconds(at + slo_ms)});
  }
  return trace;
}

TEST_CASE("Arrivals have the wanted rate and burstiness", "[simulation]") {
  const double burstiness = GENERATE(1.0, 8.0);
  Scenario scenario = TwoPools(5, burstiness);
  scenario.requests = 200'000;
  const auto trace = MakeTrace(scenario, 0.5);
  REQUIRE(trace.ok());
  const double rate = static_cast<double>(trace->size()) / SpanOf(*trace);
  CHECK(rate == Approx(0.5 * FluidRate(scenario)).epsilon(0.03));
  double squares = 0;
  for (size_t i = 1; i < trace->size(); ++i) {
    const double gap = ToSeconds((*trace)[i].at - (*trace)[i - 1].at) * rate - 1;
    squares += gap * gap;
  }
  CHECK(squares / static_cast<double>(trace->size()) == Approx(burstiness).epsilon(0.1));
}

TEST_CASE("A trace is the same each time", "[simulation]") {
  const Scenario scenario = TwoPools(5, 8);
  CHECK(MakeTrace(scenario, 1)->back().at == MakeTrace(scenario, 1)->back().at);
}

TEST_CASE("A CSV is replayed in order, as it stands or stretched to a load", "[simulation]") {
  const Scenario scenario = Replay("ms,slo\n# two\n10,20\r\n\n0\n30\n");
  const double load = *LoadOfReplay(scenario);
  const auto trace = MakeTrace(scenario, load);
  REQUIRE(trace.ok());
  REQUIRE(trace->size() == 3);
  CHECK(ToSeconds((*trace)[1].at - kTraceStart) == Approx(0.010));
  CHECK(ToSeconds((*trace)[1].deadline - kTraceStart) == Approx(0.030));
  CHECK(ToSeconds((*trace)[2].deadline - kTraceStart) == Approx(0.130));
  CHECK(SpanOf(*MakeTrace(scenario, load / 2)) == Approx(0.060));
}

TEST_CASE("A CSV's bad line is named by its number", "[simulation]") {
  const std::string line = GENERATE("1x", "5,-1", "-5", "5,5,5", "1e300", "5,", ",5", "5,1e-9");
  CAPTURE(line);
  const auto trace = MakeTrace(Replay("0\n1\n" + line + "\n"), 1);
  REQUIRE_FALSE(trace.ok());
  CHECK(absl::StrContains(trace.status().message(), "line 3"));
}

TEST_CASE("A CSV's bad line is shown printable and short", "[simulation]") {
  const auto trace = MakeTrace(Replay("0\n1\n\x1b[31m" + std::string(10'000, 'x') + "\n"), 1);
  REQUIRE_FALSE(trace.ok());
  const auto message = std::string(trace.status().message());
  CAPTURE(message);
  CHECK(message.size() < 250);
  CHECK(absl::StrContains(message, "line 3"));
  CHECK(absl::StrContains(message, "[31mxxx"));
  CHECK_FALSE(absl::StrContains(message, "\x1b"));
}

TEST_CASE("Arrivals over more than thirty years are refused", "[simulation]") {
  Scenario scenario = TwoPools(5);
  scenario.pools = {{"cpu", PoolKind::kCpu, 1, std::chrono::hours(1), {}}};
  scenario.slo = std::chrono::hours(1);
  scenario.max_batch_size = 1;
  scenario.requests = 10'000;
  CHECK(MakeTrace(scenario, 1).ok());
  const auto trace = MakeTrace(scenario, 0.001);
  REQUIRE_FALSE(trace.ok());
  CHECK(absl::StrContains(trace.status().message(), "a greater load or fewer requests"));
  scenario.arrivals.kind = Arrivals::Kind::kReplay;
  scenario.arrivals.csv = "0\n1000\n";
  CHECK(MakeTrace(scenario, 1).ok());
  scenario.arrivals.csv.clear();
  for (int i = 0; i < 10'000; ++i) scenario.arrivals.csv += std::to_string(i) + "\n";
  CHECK_FALSE(MakeTrace(scenario, 0.001).ok());
}

TEST_CASE("A fluid server is bound by its rate, the deadlines and the gaps", "[simulation]") {
  // One a millisecond at a rate of 1000 a second: all.
  std::vector<int> steady(100);
  for (int i = 0; i < 100; ++i) steady[static_cast<size_t>(i)] = i;
  CHECK(FluidBound(At(steady, 5), 1000) == Approx(100));
  // At half the rate: half of them, and what ends within the last deadline.
  CHECK(FluidBound(At(steady, 5), 500) == Approx(52).margin(0.6));
  // Ten at once, and 4 ms: four, however long the pause after them.
  CHECK(FluidBound(At({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 500}, 4), 1000) == Approx(5));
}

TEST_CASE("A fluid server serves the earliest deadline first", "[simulation]") {
  const ArrivalTrace trace = {{kTraceStart, kTraceStart + milliseconds(10)},
                              {kTraceStart, kTraceStart + milliseconds(1)}};
  CHECK(FluidBound(trace, 1000) == Approx(2));
}

}  // namespace
}  // namespace tandem::simulation
