#include "client/chaos/fault_plan.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

std::vector<std::tuple<nanoseconds, FaultKind, uint64_t>> Tuples(const std::vector<Fault>& plan) {
  std::vector<std::tuple<nanoseconds, FaultKind, uint64_t>> tuples;
  for (const Fault& fault : plan) tuples.emplace_back(fault.at, fault.kind, fault.draw);
  return tuples;
}

FaultPlanOptions Options(uint64_t seed, nanoseconds length = seconds(100)) {
  return {seed, {std::begin(kAllFaults), std::end(kAllFaults)}, 2, length};
}

TEST_CASE("The same seed gives the same faults, another seed others", "[chaos]") {
  const auto plan = Tuples(PlanFaults(Options(7)));
  CHECK(plan == Tuples(PlanFaults(Options(7))));
  CHECK(plan != Tuples(PlanFaults(Options(8))));
}

TEST_CASE("A seed means the same faults in every build", "[chaos]") {
  const std::vector<Fault> plan =
      PlanFaults({1, {FaultKind::kKill, FaultKind::kStop}, 1, seconds(3)});
  std::vector<std::tuple<int64_t, std::string, uint64_t>> found;
  for (const Fault& fault : plan) {
    found.emplace_back(fault.at / std::chrono::milliseconds(1), Name(fault.kind),
                       fault.draw % 1000);
  }
  CHECK(found == std::vector<std::tuple<int64_t, std::string, uint64_t>>{
                     {633, "stop", 930}, {1154, "kill", 384}, {2566, "kill", 665}});
}

TEST_CASE("Faults come at the rate, in order, with gaps around the mean", "[chaos]") {
  const std::vector<Fault> plan = PlanFaults(Options(3, seconds(1000)));
  CHECK(plan.size() > 1900);
  CHECK(plan.size() < 2100);
  nanoseconds last{0};
  for (const Fault& fault : plan) {
    CHECK(fault.at - last >= std::chrono::milliseconds(249));
    CHECK(fault.at - last <= std::chrono::milliseconds(751));
    last = fault.at;
  }
  CHECK(last < seconds(1000));
}

TEST_CASE("Every kind of fault comes before one comes again", "[chaos]") {
  const std::vector<Fault> plan = PlanFaults(Options(5));
  REQUIRE(plan.size() > 100);
  for (size_t round = 0; round + 6 <= plan.size(); round += 6) {
    std::set<FaultKind> kinds;
    for (size_t i = 0; i < 6; ++i) kinds.insert(plan[round + i].kind);
    CHECK(kinds.size() == 6);
  }
}

TEST_CASE("A longer plan begins with the shorter one", "[chaos]") {
  const auto shorter = Tuples(PlanFaults(Options(9, seconds(50))));
  const auto longer = Tuples(PlanFaults(Options(9, seconds(100))));
  REQUIRE(shorter.size() < longer.size());
  CHECK(std::equal(shorter.begin(), shorter.end(), longer.begin()));
}

TEST_CASE("A plan without time has no faults", "[chaos]") {
  CHECK(PlanFaults(Options(1, seconds(0))).empty());
}

TEST_CASE("Kinds of faults are read from words", "[chaos]") {
  CHECK(*ParseFaultKinds("stop,kill,stop") ==
        std::vector<FaultKind>{FaultKind::kStop, FaultKind::kKill});
  const absl::Status status = ParseFaultKinds("kill,flood").status();
  CHECK(status ==
        absl::InvalidArgumentError("--faults kill,flood: \"flood\" is no fault; expected some of "
                                   "kill,segv,stop,hang,garbage,poison"));
  CHECK(absl::IsInvalidArgument(ParseFaultKinds("").status()));
}

}  // namespace
}  // namespace tandem::client
