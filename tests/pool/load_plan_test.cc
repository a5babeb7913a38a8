// Which models a worker loads, and when: LoadPlan with LoadTrials.
#include "backends/pool/load_plan.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using std::chrono::seconds;

constexpr TimePoint kDiedAt{std::chrono::hours(1)};

// The plans of two workers of one pool.
struct Plans {
  explicit Plans(uint32_t models) {
    for (uint32_t handle = 1; handle <= models; ++handle) Add(handle);
  }
  void Add(uint32_t handle) {
    for (LoadPlan* plan : {&first, &second}) plan->Add(ScriptedModel(handle));
  }
  LoadTrials trials;
  LoadPlan first{trials, 0};
  LoadPlan second{trials, 1};
};

// The handle of the next model, 0 where there is none.
uint32_t Next(LoadPlan& plan) {
  const auto model = plan.StartNext();
  return model == nullptr ? 0 : model->handle;
}

bool LoadAll(LoadPlan& plan, uint32_t models) {
  for (uint32_t handle = 1; handle <= models; ++handle) {
    if (Next(plan) != handle || !plan.Finish()) return false;
  }
  return Next(plan) == 0;
}

TEST_CASE("Models load one after the other, each once, and all again after a restart",
          "[load_plan]") {
  Plans plans(2);
  CHECK(Next(plans.first) == 1);
  CHECK(Next(plans.first) == 0);
  CHECK(plans.first.Finish());
  CHECK(Next(plans.first) == 2);
  CHECK(plans.first.Finish());
  CHECK(Next(plans.first) == 0);
  CHECK(!plans.first.Restart(kDiedAt, LoadDeath::kCrash).has_value());
  CHECK(Next(plans.first) == 1);
}

TEST_CASE("A trial that goes on for long keeps others back no more", "[load_plan]") {
  Plans plans(3);
  CHECK(Next(plans.first) == 1);
  CHECK(Next(plans.second) == 0);
  CHECK(plans.second.TakePutOff().size() == 3);
  plans.first.OnSlow();
  CHECK(plans.trials.TakeChange());
  CHECK(Next(plans.second) == 2);
  CHECK(plans.second.Finish());
  CHECK(Next(plans.second) == 3);
  CHECK(plans.second.Finish());
  CHECK(Next(plans.second) == 0);
  // It was the worker's that tries it, and no other's.
  CHECK(plans.first.Finish());
  CHECK(Next(plans.second) == 1);
}

TEST_CASE("What no worker has loaded is loaded by one, and by the others after that",
          "[load_plan]") {
  Plans plans(2);
  CHECK(Next(plans.first) == 1);
  CHECK(Next(plans.second) == 0);
  // Also another one waits: two of them could take both workers along.
  CHECK(plans.second.TakePutOff() == std::vector<uint32_t>{1, 2});
  CHECK(plans.second.TakePutOff().empty());
  CHECK(plans.second.all_tried() == 0u);
  plans.trials.TakeChange();
  CHECK(plans.first.Finish());
  CHECK(plans.trials.TakeChange());
  CHECK(Next(plans.first) == 2);
  CHECK(Next(plans.second) == 1);
  CHECK(plans.second.Finish());
  CHECK(Next(plans.second) == 0);
  CHECK(plans.first.Finish());
  CHECK(Next(plans.second) == 2);
  CHECK(plans.second.Finish());
  CHECK(plans.second.all_tried() == 2u);
}

TEST_CASE("What has been loaded once is loaded by all workers at the same time", "[load_plan]") {
  Plans plans(1);
  REQUIRE(LoadAll(plans.first, 1));
  REQUIRE(LoadAll(plans.second, 1));
  for (LoadPlan* plan : {&plans.first, &plans.second}) plan->Restart(kDiedAt, LoadDeath::kCrash);
  CHECK(Next(plans.first) == 1);
  CHECK(Next(plans.second) == 1);
}

TEST_CASE("A load that fails without a death holds no other worker back", "[load_plan]") {
  Plans plans(1);
  REQUIRE(Next(plans.second) == 1);
  REQUIRE(plans.second.Finish());
  CHECK(Next(plans.first) == 1);
}

TEST_CASE("A model that is unloaded while it loads is not wanted any more", "[load_plan]") {
  Plans plans(2);
  REQUIRE(Next(plans.first) == 1);
  for (LoadPlan* plan : {&plans.first, &plans.second}) plan->Remove(1);
  CHECK(plans.first.loading() == 1u);
  // It keeps no other from its trial.
  CHECK(Next(plans.second) == 2);
  CHECK(!plans.first.Finish());
  CHECK(Next(plans.first) == 0);
}

TEST_CASE(
    "A model whose load ends the worker is tried first in its next life and by no other, then left "
    "out of the pool",
    "[load_plan]") {
  Plans plans(1);
  REQUIRE(LoadAll(plans.first, 1));
  REQUIRE(LoadAll(plans.second, 1));
  plans.Add(2);
  plans.Add(3);
  REQUIRE(Next(plans.first) == 2);
  CHECK(plans.first.Restart(kDiedAt, LoadDeath::kCrash) == 2u);
  CHECK(plans.first.TakeLeftOut().empty());
  CHECK(Next(plans.second) == 0);
  REQUIRE(Next(plans.first) == 2);
  CHECK(plans.first.Restart(kDiedAt, LoadDeath::kCrash) == 2u);
  for (LoadPlan* plan : {&plans.first, &plans.second}) {
    CHECK(plan->TakeLeftOut() == std::vector<uint32_t>{2});
    CHECK(plan->TakeLeftOut().empty());
  }
  // Nothing new is tried while a worker is away.
  CHECK(Next(plans.second) == 0);
  CHECK(Next(plans.first) == 1);
  CHECK(Next(plans.second) == 0);
  CHECK(plans.first.Finish());
  CHECK(Next(plans.first) == 3);
  CHECK(plans.first.Finish());
  CHECK(Next(plans.second) == 3);
}

TEST_CASE("A worker that is back and tries what is not wanted any more keeps nobody from a trial",
          "[load_plan]") {
  Plans plans(2);
  REQUIRE(Next(plans.first) == 1);
  plans.first.Restart(kDiedAt, LoadDeath::kCrash);
  REQUIRE(Next(plans.first) == 1);
  CHECK(Next(plans.second) == 0);
  for (LoadPlan* plan : {&plans.first, &plans.second}) plan->Remove(1);
  CHECK(Next(plans.second) == 2);
}

TEST_CASE("A worker that is not known to come back keeps nobody from a trial", "[load_plan]") {
  Plans plans(1);
  REQUIRE(LoadAll(plans.first, 1));
  REQUIRE(LoadAll(plans.second, 1));
  plans.Add(2);
  plans.second.Restart(kDiedAt, LoadDeath::kCrash);
  CHECK(Next(plans.first) == 0);
  SECTION("It cannot be started") { plans.second.OnCannotStart(); }
  SECTION("It dies before it is ready") {
    plans.second.Restart(kDiedAt, LoadDeath::kCrash, /*served=*/false);
  }
  CHECK(Next(plans.first) == 2);
}

TEST_CASE("A worker that dies of a model that others have loaded is the only one to load it again",
          "[load_plan]") {
  Plans plans(1);
  REQUIRE(LoadAll(plans.first, 1));
  REQUIRE(LoadAll(plans.second, 1));
  for (LoadPlan* plan : {&plans.first, &plans.second}) {
    plan->Restart(kDiedAt, LoadDeath::kCrash);
    REQUIRE(Next(*plan) == 1);
  }
  CHECK(plans.first.Restart(kDiedAt, LoadDeath::kCrash) == 1u);
  // Its own trial is the proof, not that another one died with it.
  CHECK(plans.second.Restart(kDiedAt, LoadDeath::kCrash) == 1u);
  CHECK(plans.second.TakeLeftOut().empty());
  CHECK(Next(plans.second) == 0);
  CHECK(Next(plans.first) == 1);
  CHECK(plans.first.Finish());
  CHECK(Next(plans.second) == 1);
}

TEST_CASE("Who is left out gets a chance at a later restart, each time after twice as long",
          "[load_plan]") {
  Plans plans(1);
  LoadPlan& plan = plans.first;
  for (int death = 0; death < LoadTrials::kMostCrashes; ++death) {
    REQUIRE(Next(plan) == 1);
    plan.Restart(kDiedAt, LoadDeath::kCrash);
  }
  REQUIRE(plans.trials.IsLeftOut(1));
  TimePoint now = kDiedAt;
  Duration wait = LoadTrials::kFirstChance;
  for (int chance = 0; chance < 3; ++chance) {
    plan.Restart(now + wait - seconds(1), LoadDeath::kSignal);
    CHECK(Next(plan) == 0);
    now += wait;
    plan.Restart(now, LoadDeath::kSignal);
    REQUIRE(Next(plan) == 1);
    // One more crash is enough.
    plan.Restart(now, LoadDeath::kCrash);
    CHECK(plans.trials.IsLeftOut(1));
    wait *= 2;
  }
  now += wait;
  plan.Restart(now, LoadDeath::kSignal);
  REQUIRE(Next(plan) == 1);
  CHECK(plan.Finish());
  plan.Restart(now, LoadDeath::kCrash);
  CHECK_FALSE(plans.trials.IsLeftOut(1));
}

TEST_CASE("Who is left out after signals gets its chance after the others", "[load_plan]") {
  Plans plans(2);
  LoadPlan& plan = plans.first;
  for (int death = 0; death < LoadTrials::kMostSignals; ++death) {
    while (Next(plan) != 1) CHECK(plan.Finish());
    plan.Restart(kDiedAt, LoadDeath::kSignal);
  }
  REQUIRE(plans.trials.IsLeftOut(1));
  plan.Restart(kDiedAt + LoadTrials::kFirstChance, LoadDeath::kSignal);
  CHECK_FALSE(plans.trials.IsLeftOut(1));
  REQUIRE(Next(plan) == 2);
  CHECK(plan.Finish());
  REQUIRE(Next(plan) == 1);
  // One more signal is enough.
  plan.Restart(kDiedAt + LoadTrials::kFirstChance, LoadDeath::kSignal);
  CHECK(plans.trials.IsLeftOut(1));
}

TEST_CASE("A load that succeeds makes up for a death before it", "[load_plan]") {
  Plans plans(1);
  for (int death = 1; death <= 5; ++death) {
    REQUIRE(Next(plans.first) == 1);
    CHECK(plans.first.Restart(kDiedAt, LoadDeath::kCrash) == 1u);
    REQUIRE(Next(plans.first) == 1);
    CHECK(plans.first.Finish());
    CHECK(!plans.first.Restart(kDiedAt, LoadDeath::kCrash).has_value());
  }
  CHECK_FALSE(plans.trials.IsLeftOut(1));
}

TEST_CASE("Signals from outside during a load leave the model out only after a row of them",
          "[load_plan]") {
  Plans plans(1);
  for (int death = 1; death <= LoadTrials::kMostSignals; ++death) {
    CHECK_FALSE(plans.trials.IsLeftOut(1));
    REQUIRE(Next(plans.first) == 1);
    CHECK(plans.first.Restart(kDiedAt, LoadDeath::kSignal) == 1u);
  }
  CHECK(plans.trials.IsLeftOut(1));
}

TEST_CASE("What was loaded when a signal came from outside is loaded after the others",
          "[load_plan]") {
  Plans plans(3);
  REQUIRE(LoadAll(plans.first, 3));
  REQUIRE(LoadAll(plans.second, 3));
  plans.first.Restart(kDiedAt, LoadDeath::kSignal);
  REQUIRE(Next(plans.first) == 1);
  plans.first.Restart(kDiedAt, LoadDeath::kSignal);
  REQUIRE(Next(plans.first) == 2);
  plans.first.Restart(kDiedAt, LoadDeath::kSignal);
  // Also in another worker.
  plans.second.Restart(kDiedAt, LoadDeath::kSignal);
  for (LoadPlan* plan : {&plans.first, &plans.second}) REQUIRE(Next(*plan) == 3);
  REQUIRE(plans.first.Finish());
  REQUIRE(Next(plans.first) == 1);
  plans.first.Restart(kDiedAt, LoadDeath::kSignal);
  REQUIRE(plans.second.Finish());
  REQUIRE(Next(plans.second) == 2);
  // A load makes up for them.
  REQUIRE(plans.second.Finish());
  REQUIRE(Next(plans.first) == 2);
}

TEST_CASE(
    "What was too much for the memory is loaded after the others, and left out the second time",
    "[load_plan]") {
  Plans plans(3);
  REQUIRE(LoadAll(plans.first, 1) == false);
  REQUIRE(plans.first.loading() == 2u);
  CHECK(plans.first.Restart(kDiedAt, LoadDeath::kMemory, true, "it is large") == 2u);
  CHECK(plans.first.TakeLeftOut().empty());
  REQUIRE(Next(plans.first) == 1);
  REQUIRE(plans.first.Finish());
  // Its own trial goes on, so that no other one begins.
  CHECK(Next(plans.second) == 1);
  REQUIRE(plans.second.Finish());
  CHECK(Next(plans.second) == 0);
  REQUIRE(Next(plans.first) == 2);
  SECTION("for memory") { plans.first.Restart(kDiedAt, LoadDeath::kMemory, true, "it is large"); }
  SECTION("in another way") {
    plans.first.Restart(kDiedAt, LoadDeath::kCrash, true, "it is large");
  }
  for (LoadPlan* plan : {&plans.first, &plans.second}) {
    CHECK(plan->TakeLeftOut() == std::vector<uint32_t>{2});
    CHECK(plan->WhyLeftOut(2) == "it is large");
  }
  for (const uint32_t handle : {1u, 3u}) {
    REQUIRE(Next(plans.first) == handle);
    REQUIRE(plans.first.Finish());
  }
  CHECK(Next(plans.first) == 0);
  // Its chance comes after the others too.
  plans.first.Restart(kDiedAt + LoadTrials::kFirstChance, LoadDeath::kSignal);
  for (const uint32_t handle : {1u, 3u, 2u}) {
    REQUIRE(Next(plans.first) == handle);
    REQUIRE(plans.first.Finish());
  }
}

TEST_CASE("A load that took too long leaves its model out at once and for good", "[load_plan]") {
  Plans plans(2);
  REQUIRE(Next(plans.first) == 1);
  CHECK(plans.first.Restart(kDiedAt, LoadDeath::kTooLong, true, "it is slow") == 1u);
  for (LoadPlan* plan : {&plans.first, &plans.second}) {
    CHECK(plan->TakeLeftOut() == std::vector<uint32_t>{1});
    CHECK(plan->WhyLeftOut(1) == "it is slow");
  }
  REQUIRE(Next(plans.first) == 2);
  REQUIRE(plans.first.Finish());
  plans.first.Restart(kDiedAt + 100 * LoadTrials::kFirstChance, LoadDeath::kSignal);
  CHECK(Next(plans.first) == 2);
}

TEST_CASE("Signals that come whatever is loaded leave no model out", "[load_plan]") {
  constexpr uint32_t kModels = 4;
  Plans plans(kModels);
  REQUIRE(LoadAll(plans.first, kModels));
  plans.first.Restart(kDiedAt, LoadDeath::kSignal);
  for (int death = 0; death < static_cast<int>(kModels) * (LoadTrials::kMostSignals - 1); ++death) {
    REQUIRE(Next(plans.first) != 0);
    plans.first.Restart(kDiedAt, LoadDeath::kSignal);
  }
  CHECK(LoadAll(plans.first, kModels));
}

}  // namespace
}  // namespace tandem::testing
