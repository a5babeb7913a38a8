#include "client/chaos/worker_deaths.h"

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::microseconds;
using Kind = WorkerLogEvent::Kind;

constexpr char kKilled[] = "killed by signal 9 (SIGKILL)";
constexpr char kSegfault[] = "killed by signal 11 (SIGSEGV)";
constexpr char kHung[] = "killed by signal 9 (SIGKILL), since a batch did not come to an end";

WallTime At(int64_t time) { return WallTime(microseconds(time)); }

WorkerLogEvent Ended(int64_t time, pid_t pid, const std::string& how,
                     const std::string& worker = "cpu/0") {
  return {At(time), Kind::kEnded, worker, pid, how};
}

WorkerLogEvent Back(int64_t time, const std::string& worker = "cpu/0") {
  return {At(time), Kind::kBack, worker, 0, ""};
}

TEST_CASE("A killed worker is known and back after the signal that ended it", "[chaos]") {
  const auto deaths = FindDeaths({Ended(1500, 7, kKilled), Back(90000)},
                                 {{FaultKind::kKill, 7, At(1000), At(1400)}});
  REQUIRE(deaths.size() == 1);
  CHECK(deaths[0].kind == FaultKind::kKill);
  CHECK(deaths[0].detected_after == microseconds(100));
  CHECK(deaths[0].detected_after_signal == microseconds(500));
  CHECK(deaths[0].back_after == microseconds(89000));
}

TEST_CASE("What ended a worker is told by the signals that it got and by its end", "[chaos]") {
  struct Case {
    std::string how;
    std::optional<FaultKind> signal;
    std::optional<FaultKind> expected;
  };
  const Case cases[] = {{kSegfault, FaultKind::kSegv, FaultKind::kSegv},
                        {kSegfault, std::nullopt, FaultKind::kPoison},
                        {kHung, FaultKind::kStop, FaultKind::kStop},
                        {kHung, std::nullopt, FaultKind::kHang},
                        {"killed by signal 9 (SIGKILL), since it broke the protocol: x",
                         FaultKind::kKill, FaultKind::kGarbage},
                        {"killed by signal 9 (SIGKILL), since it gave no sign of life",
                         FaultKind::kStop, FaultKind::kStop},
                        {kKilled, std::nullopt, std::nullopt},
                        {"exited with code 3", FaultKind::kKill, std::nullopt}};
  for (const Case& each : cases) {
    INFO(each.how);
    std::vector<SentSignal> signals;
    if (each.signal.has_value()) signals.push_back({*each.signal, 7, At(1000), {}});
    const auto deaths = FindDeaths({Ended(2000, 7, each.how)}, signals);
    REQUIRE(deaths.size() == 1);
    CHECK(deaths[0].kind == each.expected);
  }
}

TEST_CASE("A stopped worker's detection is its budget and not counted, its absence is", "[chaos]") {
  const auto deaths =
      FindDeaths({Ended(900000, 7, kHung), Back(950000)}, {{FaultKind::kStop, 7, At(0), {}}});
  REQUIRE(deaths.size() == 1);
  CHECK(!deaths[0].detected_after_signal.has_value());
  CHECK(deaths[0].back_after == microseconds(950000));
}

TEST_CASE("A server that sees an end before the run does has seen it at once", "[chaos]") {
  const auto deaths =
      FindDeaths({Ended(1300, 7, kKilled)}, {{FaultKind::kKill, 7, At(1000), At(1400)}});
  CHECK(deaths.at(0).detected_after == microseconds(0));
  CHECK(deaths.at(0).detected_after_signal == microseconds(300));
}

TEST_CASE("Without a signal the absence counts from the death", "[chaos]") {
  const auto deaths = FindDeaths({Ended(1000, 7, kSegfault), Back(5000)}, {});
  CHECK(!deaths[0].detected_after_signal.has_value());
  CHECK(deaths[0].back_after == microseconds(4000));
}

TEST_CASE("Workers are told apart, and process ids that come back", "[chaos]") {
  const auto deaths =
      FindDeaths({Ended(1100, 7, kKilled), Ended(2200, 8, kKilled, "cpu/1"), Back(3000, "cpu/1"),
                  Back(4000), Ended(9300, 7, kKilled, "cpu/1")},
                 {{FaultKind::kKill, 7, At(1000), {}},
                  {FaultKind::kKill, 8, At(2000), {}},
                  {FaultKind::kKill, 7, At(9000), {}}});
  REQUIRE(deaths.size() == 3);
  CHECK(deaths[0].detected_after_signal == microseconds(100));
  CHECK(deaths[0].back_after == microseconds(3000));
  CHECK(deaths[1].detected_after_signal == microseconds(200));
  CHECK(deaths[1].back_after == microseconds(1000));
  CHECK(deaths[2].detected_after_signal == microseconds(300));
  CHECK(!deaths[2].back_after.has_value());
}

TEST_CASE("A signal is for the process that had the number then", "[chaos]") {
  const auto deaths = FindDeaths({Ended(1100, 7, kHung), Ended(900000, 7, kSegfault)},
                                 {{FaultKind::kSegv, 7, At(1000), {}}});
  REQUIRE(deaths.size() == 2);
  CHECK(deaths[1].kind == FaultKind::kPoison);
  CHECK(!deaths[1].detected_after_signal.has_value());
}

}  // namespace
}  // namespace tandem::client
