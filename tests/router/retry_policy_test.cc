#include "router/retry_policy.h"

#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr WorkerDeath kDeaths[] = {WorkerDeath::kFromOutside, WorkerDeath::kWhileLoading,
                                   WorkerDeath::kFromInside};

TEST_CASE("A request runs again after its first death, whichever it was", "[retry]") {
  for (const WorkerDeath death : kDeaths) {
    DeathCount deaths;
    CHECK(NextAfterDeath(death, deaths) == AfterDeath::kRunAgain);
    CHECK(deaths.is_suspect() == (death != WorkerDeath::kFromOutside));
  }
}

TEST_CASE("A second death of a kind that proves nothing ends the tries without blame", "[retry]") {
  for (const WorkerDeath death : {WorkerDeath::kFromOutside, WorkerDeath::kWhileLoading}) {
    DeathCount deaths;
    NextAfterDeath(death, deaths);
    CHECK(NextAfterDeath(death, deaths) == AfterDeath::kGiveUp);
  }
}

TEST_CASE("A crash under a suspect proves it, and no other death does", "[retry]") {
  for (const WorkerDeath first : kDeaths) {
    for (const WorkerDeath second : kDeaths) {
      DeathCount deaths;
      NextAfterDeath(first, deaths);
      const bool was_suspect = deaths.is_suspect();
      const bool condemned = NextAfterDeath(second, deaths) == AfterDeath::kCondemn;
      CHECK(condemned == (was_suspect && second == WorkerDeath::kFromInside));
    }
  }
}

TEST_CASE("A death before its run costs a request neither its second run nor its name", "[retry]") {
  for (const WorkerDeath death : kDeaths) {
    DeathCount deaths;
    for (int i = 0; i < kMostDeathsBeforeRun; ++i) {
      CHECK(NextAfterDeath(WorkerDeath::kBeforeRun, deaths) == AfterDeath::kRunAgain);
    }
    CHECK(!deaths.is_suspect());
    CHECK(NextAfterDeath(death, deaths) == AfterDeath::kRunAgain);
  }
}

TEST_CASE("A request does not wait through deaths for ever", "[retry]") {
  DeathCount deaths;
  for (int i = 0; i < kMostDeathsBeforeRun; ++i) NextAfterDeath(WorkerDeath::kBeforeRun, deaths);
  CHECK(NextAfterDeath(WorkerDeath::kBeforeRun, deaths) == AfterDeath::kGiveUp);
}

}  // namespace
}  // namespace tandem
