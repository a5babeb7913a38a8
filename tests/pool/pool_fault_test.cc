#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <set>
#include <thread>

#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using Kind = RecordedEvents::Kind;

TEST_CASE(
    "A worker that is killed in mid-batch: the batch gets UNAVAILABLE once, then the lane goes "
    "down, and the "
    "worker comes back with its model",
    "[pool][fault]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1)));
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(2, "hang")));
  const int64_t pid = scripted.pool.Status().at(0).pid;
  REQUIRE(scripted.pool.Run(0, TestBatch(5, 2).Add({1.0f}).get()).ok());
  REQUIRE(pid > 0);
  REQUIRE(kill(static_cast<pid_t>(pid), SIGKILL) == 0);

  const BatchResult result = scripted.events.TakeResult(5);
  CHECK(result.status == absl::UnavailableError("worker test/0 died (killed by signal 9 (SIGKILL)) "
                                                "while it ran the request"));
  CHECK(result.death == WorkerDeath::kFromOutside);
  REQUIRE(scripted.events.Await(Kind::kLaneUp, 2));
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2, 1));
  const WorkerStatus status = scripted.pool.Status().at(0);
  CHECK(status.state == WorkerState::kReady);
  CHECK(status.restarts == 1);
  CHECK(status.pid != pid);
  CHECK(status.last_exit == "killed by signal 9 (SIGKILL)");
  CHECK(scripted.RunAndAwait(6, 1, {2.0f}).status.ok());

  std::vector<Kind> order;
  for (const RecordedEvents::Event& event : scripted.events.All()) {
    if (event.id != 2 && event.id != 6) order.push_back(event.kind);
  }
  CHECK(order == std::vector<Kind>{Kind::kLaneUp, Kind::kModelReady, Kind::kBatchDone,
                                   Kind::kLaneDown, Kind::kLaneUp, Kind::kModelReady});
}

TEST_CASE("Of a lane's batches only the first can have been run when the worker dies",
          "[pool][fault]") {
  PoolOptions options = ScriptedOptions();
  options.lanes = 2;
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "hang")));
  for (const auto& [lane, id] : {std::pair(0u, 5u), std::pair(1u, 6u), std::pair(0u, 7u)}) {
    REQUIRE(scripted.pool.Run(lane, TestBatch(id, 1).Add({1.0f}).get()).ok());
  }
  REQUIRE(kill(static_cast<pid_t>(scripted.pool.Status().at(0).pid), SIGKILL) == 0);
  CHECK(scripted.events.TakeResult(5).death == WorkerDeath::kFromOutside);
  CHECK(scripted.events.TakeResult(6).death == WorkerDeath::kFromOutside);
  const BatchResult behind = scripted.events.TakeResult(7);
  CHECK(behind.death == WorkerDeath::kForAnother);
  CHECK(absl::IsUnavailable(behind.status));
}

TEST_CASE("The log tells the end of a worker's process, and when its models are back",
          "[pool][fault]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1)));
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(2)));
  const int64_t pid = scripted.pool.Status().at(0).pid;
  REQUIRE(kill(static_cast<pid_t>(pid), SIGKILL) == 0);
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2, 1));
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2, 2));
  const int64_t next_pid = scripted.pool.Status().at(0).pid;
  // What it does before it stops is done, and logged, after this.
  scripted.pool.Stop(std::chrono::seconds(60));
  const std::string log = scripted.log.All();
  INFO(log);
  CHECK(scripted.log.Holds("worker test/0 process " + std::to_string(pid) +
                           " ended: killed by signal 9 (SIGKILL)"));
  CHECK(scripted.log.Holds("worker test/0 process " + std::to_string(next_pid) +
                           " is back with 2 models after "));
  CHECK(!scripted.log.Holds(std::to_string(pid) + " is back"));
}

TEST_CASE("A worker that ends by itself in mid-batch comes back", "[pool][fault]") {
  const auto [run, how] = GENERATE(table<std::string, std::string>(
      {{"crash", "killed by signal 11 (SIGSEGV)"}, {"exit", "exited with code 7"}}));
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, run)));
  const BatchResult result = scripted.RunAndAwait(5, 1, {1.0f});
  CHECK(result.status.code() == absl::StatusCode::kUnavailable);
  CHECK(result.status.message().find(how) != absl::string_view::npos);
  CHECK(result.death == WorkerDeath::kFromInside);
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2));
  CHECK(scripted.pool.Status().at(0).last_exit == how);
}

TEST_CASE("A worker that breaks the protocol is killed, its batch answered once, and it comes back",
          "[pool][fault]") {
  const auto [run, reason] = GENERATE(table<std::string, std::string>({
      {"unknown_batch", "it answered a batch that it was not given"},
      {"bad_slot", "output slot 4096 is not free"},
      {"no_outputs", "a batch succeeded without outputs"},
      {"bad_status", "there is no status 99"},
      {"record_outside", "a range leaves the arena"},
      {"huge_record", "a range leaves the arena"},
      {"tensor_outside", "a range leaves the arena"},
      {"bad_strings", "it broke the protocol"},
      {"long_error", "an error's text has 4097 bytes"},
      {"corrupt_tail", "the tail of a completion ring makes no sense"},
      {"nonsense", "a control message cannot be parsed"},
      {"huge_frame", "a control message is too large"},
      {"flood", "it answered what it was not asked"},
      // The server takes it for the end of the connection and closes its end, which ends the
      // worker.
      {"empty_frame", "exited with code 1"},
  }));
  CAPTURE(run);
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, run)));
  const BatchResult result = scripted.RunAndAwait(5, 1, {1.0f});
  CHECK(result.status.code() == absl::StatusCode::kUnavailable);
  CHECK(result.death == WorkerDeath::kFromInside);
  CHECK(result.outputs.empty());
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2));
  CAPTURE(scripted.log.All());
  CHECK(scripted.log.Holds(reason));
  CHECK(scripted.events.AnswersOfBatches() == std::map<uint64_t, int>{{5, 1}});
  CHECK(scripted.pool.Status().at(0).restarts == 1);
}

TEST_CASE("A worker cannot take the shared memory away from the server", "[pool][fault]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "shrink")));
  const BatchResult result = scripted.RunAndAwait(5, 1, {1.0f, 2.0f});
  REQUIRE(result.status.ok());
  CHECK(Numbers(result.outputs.at(0)) == std::vector<float>{1.0f, 2.0f});
}

TEST_CASE("A second answer to a batch ends the worker, not the first answer", "[pool][fault]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "twice")));
  const BatchResult result = scripted.RunAndAwait(5, 1, {1.0f, 2.0f});
  REQUIRE(result.status.ok());
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2));
  CHECK(scripted.events.AnswersOfBatches() == std::map<uint64_t, int>{{5, 1}});
  // The outputs outlive the worker.
  CHECK(Numbers(result.outputs.at(0)) == std::vector<float>{1.0f, 2.0f});
}

TEST_CASE("A worker that uses an output slot which is still read is killed", "[pool][fault]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "reused_slot")));
  {
    const BatchResult kept = scripted.RunAndAwait(1, 1, {1.0f});
    REQUIRE(kept.status.ok());
    CHECK(scripted.RunAndAwait(2, 1, {2.0f}).status.code() == absl::StatusCode::kUnavailable);
  }
  CHECK(scripted.log.Holds("output slot 0 is not free"));
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2));
  REQUIRE(scripted.RunAndAwait(3, 1, {3.0f}).status.ok());
  CHECK(scripted.RunAndAwait(4, 1, {4.0f}).status.ok());
}

TEST_CASE("Outputs are readable after their worker has died and after the pool has gone",
          "[pool][fault]") {
  BatchResult result;
  {
    ScriptedPool scripted;
    REQUIRE(scripted.started.ok());
    REQUIRE(scripted.LoadAndAwait(ScriptedModel(1)));
    result = scripted.RunAndAwait(1, 1, {1.0f, 2.0f, 3.0f});
    REQUIRE(result.status.ok());
  }
  CHECK(Numbers(result.outputs.at(0)) == std::vector<float>{1.0f, 2.0f, 3.0f});
  result.keep_alive.reset();
}

TEST_CASE("A model that fails is answered with its text made printable, and the worker lives",
          "[pool][fault]") {
  const auto [run, text] = GENERATE(
      table<std::string, std::string>({{"fail", "the model refused  [1m its input ?"},
                                       {"fail_silently", "the model failed and gave no reason"}}));
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, run)));
  for (uint64_t id = 1; id <= 10; ++id) {
    CHECK(scripted.RunAndAwait(id, 1, {1.0f}).status == absl::InvalidArgumentError(text));
  }
  CHECK(scripted.pool.Status().at(0).restarts == 0);
}

TEST_CASE("A model whose load ends the worker twice is left out, and the others come back",
          "[pool][fault]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1)));
  scripted.pool.Load(ScriptedModel(2, "echo", "crash"));
  scripted.pool.Load(ScriptedModel(3));
  REQUIRE(scripted.events.Await(Kind::kModelReady, 1, 3));
  // At first, and after the second death: between the two the one that is blamed was alone.
  CHECK(scripted.events.Count(Kind::kModelReady, 1) == 2);
  CHECK(scripted.events.Count(Kind::kModelReady, 2) == 0);
  // Once for each death, and once more to say that it is left out.
  CHECK(scripted.events.Count(Kind::kModelFailed, 2) == 3);
  CHECK(scripted.pool.Status().at(0).restarts == 2);
  CHECK(scripted.RunAndAwait(1, 3, {1.0f}).status.ok());
}

TEST_CASE("Models whose load ends the worker never take down two workers of a pool at a time",
          "[pool][fault]") {
  PoolOptions options = ScriptedOptions();
  options.processes = 3;
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  // Also before the first one is there.
  scripted.pool.Load(ScriptedModel(1, "echo", "crash"));
  scripted.pool.Load(ScriptedModel(2));
  scripted.pool.Load(ScriptedModel(3, "echo", "crash"));
  scripted.pool.Load(ScriptedModel(4));
  REQUIRE(scripted.events.Await(Kind::kModelReady, 3, 2));
  REQUIRE(scripted.events.Await(Kind::kModelReady, 3, 4));
  uint64_t restarts = 0;
  for (const WorkerStatus& worker : scripted.pool.Status()) restarts += worker.restarts;
  CHECK(restarts == 4);
  size_t down = 0;
  size_t most_down = 0;
  for (const RecordedEvents::Event& event : scripted.events.All()) {
    if (event.kind == Kind::kLaneDown) most_down = std::max(most_down, ++down);
    if (event.kind == Kind::kLaneUp && down > 0) --down;
  }
  CHECK(most_down == 1);
  // Each lane hears that they are left out.
  for (const uint32_t handle : {1u, 3u}) {
    std::set<uint32_t> told;
    for (const RecordedEvents::Event& event : scripted.events.All()) {
      if (event.kind == Kind::kModelFailed && event.id == handle) told.insert(event.lane);
    }
    CHECK(told == std::set<uint32_t>{0, 1, 2});
  }
}

TEST_CASE("A worker waits with what another one tries", "[pool][fault]") {
  PoolOptions options = ScriptedOptions();
  options.processes = 2;
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  scripted.pool.Load(ScriptedModel(1, "echo", "hang"));
  REQUIRE(scripted.events.Await(Kind::kLoadPutOff, 1, 1));
  const uint32_t waiting = scripted.events.Last(Kind::kLoadPutOff).lane;
  // The one that tries it, which is killed, keeps it.
  const int64_t pid = scripted.pool.Status().at(1 - waiting).pid;
  REQUIRE(kill(static_cast<pid_t>(pid), SIGKILL) == 0);
  REQUIRE(scripted.events.Await(Kind::kLaneUp, 3));
  scripted.pool.Unload(1);
  scripted.pool.Load(ScriptedModel(2));
  REQUIRE(scripted.events.Await(Kind::kModelReady, 1, 2));
  CHECK(scripted.events.Last(Kind::kModelReady).lane == waiting);
  CHECK(scripted.events.Count(Kind::kLoadPutOff, 1) == 1);
}

TEST_CASE("A worker that tells nonsense of a model is killed", "[pool][fault]") {
  const std::string load = GENERATE("bad_signature", "unasked");
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  scripted.pool.Load(ScriptedModel(1, "echo", load));
  REQUIRE(scripted.events.Await(Kind::kModelFailed, 3));
  CHECK(scripted.events.Count(Kind::kModelReady) == 0);
  CHECK(scripted.log.Holds("it broke the protocol"));
}

// Feeds one lane until it is told to end, one batch after the other, and counts what Run accepted.
void Feed(ScriptedPool& scripted, uint32_t lane, const std::atomic<bool>& ending,
          std::set<uint64_t>& accepted) {
  uint64_t id = (uint64_t{lane} + 1) << 32;
  while (!ending.load()) {
    const TestBatch batch = std::move(TestBatch(++id, 1).Add({1.0f, 2.0f}));
    if (scripted.pool.Run(lane, batch.get()).ok()) {
      accepted.insert(id);
      scripted.events.TakeResult(id);
    } else {
      std::this_thread::yield();
    }
  }
}

TEST_CASE(
    "Under load and repeated kills each accepted batch is answered once and each refused one never",
    "[pool][fault]") {
  constexpr size_t kKills = 4;
  PoolOptions options = ScriptedOptions();
  options.processes = 2;
  options.lanes = 2;
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1)));

  std::atomic<bool> ending{false};
  std::vector<std::set<uint64_t>> accepted(scripted.pool.lane_count());
  std::vector<std::thread> feeders;
  for (uint32_t lane = 0; lane < scripted.pool.lane_count(); ++lane) {
    feeders.emplace_back([&, lane] { Feed(scripted, lane, ending, accepted[lane]); });
  }
  for (size_t i = 1; i <= kKills; ++i) {
    const size_t answered = scripted.events.Count(Kind::kBatchDone);
    CHECK(scripted.events.Await(Kind::kBatchDone, answered + 20));
    const int64_t pid = scripted.pool.Status().at(i % 2).pid;
    REQUIRE(pid > 0);
    kill(static_cast<pid_t>(pid), SIGKILL);
    CHECK(scripted.events.Await(Kind::kLaneUp, 4 + 2 * i));
  }
  ending.store(true);
  for (std::thread& feeder : feeders) feeder.join();
  scripted.pool.Stop(std::chrono::seconds(10));

  std::map<uint64_t, int> expected;
  for (const std::set<uint64_t>& ids : accepted) {
    for (const uint64_t id : ids) expected[id] = 1;
  }
  CHECK(expected.size() > 20 * kKills);
  CHECK(scripted.events.AnswersOfBatches() == expected);
  CHECK((waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD));
}

}  // namespace
}  // namespace tandem::testing
