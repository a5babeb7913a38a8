// The pool's small decisions, which need no process.
#include "backends/pool/heartbeat.h"
#include "backends/pool/load_plan.h"
#include "backends/pool/restart_backoff.h"
#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE(
    "The back-off doubles from 0.1 s to 30 s, with jitter, and starts anew after 10 s of health",
    "[backoff]") {
  RestartBackoff backoff(1);
  Duration step = milliseconds(100);
  for (int death = 0; death < 20; ++death) {
    const Duration wait = backoff.Next(seconds(9));
    CHECK(wait >= step / 2);
    CHECK(wait <= step);
    step = std::min<Duration>(step * 2, seconds(30));
  }
  CHECK(step == seconds(30));
  CHECK(backoff.Next(seconds(10)) <= milliseconds(100));
  CHECK(backoff.Next(seconds(0)) > milliseconds(99));
}

TEST_CASE("Workers that die together do not start together", "[backoff]") {
  CHECK(RestartBackoff(1).Next(seconds(0)) != RestartBackoff(2).Next(seconds(0)));
}

TEST_CASE("A heartbeat is due every interval and lost after three without an answer",
          "[heartbeat]") {
  const TimePoint start{seconds(100)};
  Heartbeat heartbeat(start);
  CHECK(!heartbeat.Due(start + seconds(4)).has_value());
  CHECK(heartbeat.Due(start + seconds(5)) == 1);
  CHECK(!heartbeat.Due(start + seconds(5)).has_value());
  CHECK(heartbeat.Due(start + seconds(10)) == 2);
  // An answer to a ping that was never sent is none.
  heartbeat.OnPong(9);
  CHECK(heartbeat.Due(start + seconds(15)) == 3);
  CHECK(!heartbeat.IsLost(start + seconds(19)));
  CHECK(heartbeat.IsLost(start + seconds(20)));
  heartbeat.OnPong(1);
  CHECK(!heartbeat.IsLost(start + seconds(20)));
}

TEST_CASE("Models load one after the other, each once, and all again after a restart",
          "[load_plan]") {
  LoadPlan plan;
  CHECK(plan.StartNext() == nullptr);
  plan.Add(ScriptedModel(1));
  plan.Add(ScriptedModel(2));
  CHECK(plan.StartNext()->handle == 1);
  CHECK(plan.StartNext() == nullptr);
  CHECK(plan.Finish());
  CHECK(plan.StartNext()->handle == 2);
  CHECK(plan.Finish());
  CHECK(plan.StartNext() == nullptr);
  CHECK(!plan.Restart().has_value());
  CHECK(plan.StartNext()->handle == 1);
}

TEST_CASE("A model that is unloaded while it loads is not wanted any more", "[load_plan]") {
  LoadPlan plan;
  plan.Add(ScriptedModel(1));
  REQUIRE(plan.StartNext() != nullptr);
  plan.Remove(1);
  CHECK(plan.loading() == 1u);
  CHECK(!plan.Finish());
  CHECK(plan.StartNext() == nullptr);
}

TEST_CASE("A model whose load ends the worker twice is left out", "[load_plan]") {
  LoadPlan plan;
  plan.Add(ScriptedModel(1));
  plan.Add(ScriptedModel(2));
  for (int death = 1; death <= LoadPlan::kMostDeaths; ++death) {
    CHECK(plan.LeftOut().empty());
    REQUIRE(plan.StartNext()->handle == 1);
    CHECK(plan.Restart() == 1u);
  }
  CHECK(plan.LeftOut() == std::vector<uint32_t>{1});
  CHECK(plan.StartNext()->handle == 2);
}

}  // namespace
}  // namespace tandem::testing
