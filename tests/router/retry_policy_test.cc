#include "router/retry_policy.h"

#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr WorkerDeath kDeaths[] = {WorkerDeath::kFromOutside, WorkerDeath::kWhileLoading,
                                   WorkerDeath::kFromInside, WorkerDeath::kHung,
                                   WorkerDeath::kHungTogether};

TEST_CASE("A request runs again after its first death, whichever it was", "[retry]") {
  for (const WorkerDeath death : kDeaths) {
    DeathCount deaths;
    CHECK(NextAfterDeath(death, deaths) == AfterDeath::kRunAgain);
    // Of a hang it is known which batch it was: nothing need keep away from it.
    CHECK(deaths.is_suspect() ==
          (death == WorkerDeath::kWhileLoading || death == WorkerDeath::kFromInside));
  }
}

TEST_CASE("A second death of a kind that proves nothing ends the tries without blame", "[retry]") {
  for (const WorkerDeath death : {WorkerDeath::kFromOutside, WorkerDeath::kWhileLoading}) {
    DeathCount deaths;
    NextAfterDeath(death, deaths);
    CHECK(NextAfterDeath(death, deaths) == AfterDeath::kGiveUp);
  }
}

TEST_CASE("A crash or a hang of a suspect, and a second hang, prove it, and no other death does",
          "[retry]") {
  for (const WorkerDeath first : kDeaths) {
    for (const WorkerDeath second : kDeaths) {
      DeathCount deaths;
      NextAfterDeath(first, deaths);
      const bool was_suspect = deaths.is_suspect();
      const bool condemned = NextAfterDeath(second, deaths) == AfterDeath::kCondemn;
      const bool hung = first == WorkerDeath::kHung || first == WorkerDeath::kHungTogether;
      const bool may_prove =
          second != WorkerDeath::kFromOutside && second != WorkerDeath::kWhileLoading;
      const bool is_proof = may_prove && (was_suspect || (hung && second == WorkerDeath::kHung));
      CHECK(condemned == is_proof);
    }
  }
}

TEST_CASE("Who hangs together with others twice is tried apart from them", "[retry]") {
  DeathCount deaths;
  CHECK(NextAfterDeath(WorkerDeath::kHungTogether, deaths) == AfterDeath::kRunAgain);
  CHECK_FALSE(deaths.is_suspect());
  CHECK(NextAfterDeath(WorkerDeath::kHungTogether, deaths) == AfterDeath::kRunAgain);
  CHECK(deaths.is_suspect());
  CHECK(NextAfterDeath(WorkerDeath::kHung, deaths) == AfterDeath::kCondemn);
}

TEST_CASE("A death for another request costs neither its second run nor its name", "[retry]") {
  for (const WorkerDeath death : kDeaths) {
    DeathCount deaths;
    for (int i = 0; i < kMostDeathsForOthers; ++i) {
      CHECK(NextAfterDeath(WorkerDeath::kForAnother, deaths) == AfterDeath::kRunAgain);
    }
    CHECK(!deaths.is_suspect());
    CHECK(NextAfterDeath(death, deaths) == AfterDeath::kRunAgain);
  }
}

TEST_CASE("A request does not wait through deaths for ever", "[retry]") {
  DeathCount deaths;
  for (int i = 0; i < kMostDeathsForOthers; ++i) NextAfterDeath(WorkerDeath::kForAnother, deaths);
  CHECK(NextAfterDeath(WorkerDeath::kForAnother, deaths) == AfterDeath::kGiveUp);
}

}  // namespace
}  // namespace tandem
