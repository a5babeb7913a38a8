#include "backends/pool/pool.h"

#include <dirent.h>
#include <sched.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>

#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using Kind = RecordedEvents::Kind;

size_t OpenDescriptors() {
  size_t count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// True if this process has no child, not even one that is dead and not reaped.
bool HasNoChild() { return waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }

TEST_CASE("A pool starts its workers, loads a model into each, and runs a batch on each lane",
          "[pool]") {
  PoolOptions options = ScriptedOptions();
  options.processes = 2;
  options.lanes = 2;
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.pool.lane_count() == 4);
  CHECK(scripted.pool.worker_name(1) == "test/0");
  CHECK(scripted.pool.worker_name(2) == "test/1");
  CHECK(scripted.events.Count(Kind::kLaneUp) == 4);
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(7)));
  CHECK(scripted.events.Last(Kind::kModelReady).inputs.at(0).name == "X");

  for (uint32_t lane = 0; lane < 4; ++lane) {
    const float first = static_cast<float>(lane);
    TestBatch batch(lane + 1, 7);
    batch.Add({first, 2.0f}).Add({3.0f, 4.0f, 5.0f, 6.0f}, 2);
    REQUIRE(scripted.pool.Run(lane, batch.get()).ok());
    const BatchResult result = scripted.events.TakeResult(lane + 1);
    REQUIRE(result.status.ok());
    REQUIRE(result.outputs.size() == 1);
    CHECK(result.outputs[0].name == "X");
    CHECK(result.outputs[0].shape == Shape{3, 2});
    CHECK(Numbers(result.outputs[0]) == std::vector<float>{first, 2, 3, 4, 5, 6});
    CHECK(result.compute_time < std::chrono::minutes(1));
  }
}

TEST_CASE("A worker inherits its control socket alone, sees no GPU, and keeps to its cores",
          "[pool]") {
  PoolOptions options = ScriptedOptions();
  options.threads = 3;
  cpu_set_t available;
  REQUIRE(sched_getaffinity(0, sizeof(available), &available) == 0);
  for (int core = 0; options.cores.empty(); ++core) {
    if (CPU_ISSET(core, &available)) options.cores = {core};
  }
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  CAPTURE(scripted.log.All());
  CHECK(scripted.log.Holds("descriptors [0 1 2 3] cuda [] threads [3] cores [1]"));
}

TEST_CASE("A worker of a GPU pool sees one GPU", "[pool]") {
  PoolOptions options = ScriptedOptions();
  options.kind = PoolKind::kGpu;
  options.device = "gpu:5";
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  CHECK(scripted.log.Holds("cuda [5]"));
}

TEST_CASE("What a worker notes of a model is logged, as far as it is fit for that", "[pool]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "echo", "notes")));
  CHECK(scripted.log.Holds("worker test/0 says: it runs without graphs"));
  const std::string log = scripted.log.All();
  CHECK(std::count(log.begin(), log.end(), 'x') <= 16 * 1024 + 64);
  CHECK_FALSE(scripted.log.Holds("too long"));
}

TEST_CASE("A pool leaves no process, no zombie and no descriptor behind", "[pool]") {
  const size_t before = OpenDescriptors();
  {
    PoolOptions options = ScriptedOptions();
    options.processes = 3;
    ScriptedPool scripted(options);
    REQUIRE(scripted.started.ok());
    REQUIRE(scripted.LoadAndAwait(ScriptedModel(1)));
    CHECK(OpenDescriptors() > before);
    scripted.pool.Stop(std::chrono::seconds(20));
    CHECK(HasNoChild());
    for (const WorkerStatus& status : scripted.pool.Status()) {
      CHECK(status.pid == 0);
      CHECK(status.last_exit == "exited with code 0");
    }
    CHECK(scripted.events.Count(Kind::kLaneDown) == 3);
  }
  CHECK(HasNoChild());
  CHECK(OpenDescriptors() == before);
}

TEST_CASE("Stop kills a worker that is stuck, and answers its batch", "[pool]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "hang")));
  REQUIRE(scripted.pool.Run(0, TestBatch(11, 1).Add({1.0f}).get()).ok());
  scripted.pool.Stop(Duration(0));
  CHECK(scripted.events.TakeResult(11).status.code() == absl::StatusCode::kUnavailable);
  CHECK(HasNoChild());
  CHECK(scripted.pool.Run(0, TestBatch(12, 1).Add({1.0f}).get()).code() ==
        absl::StatusCode::kUnavailable);
}

TEST_CASE("A pool whose worker program is missing does not start, and says so in one line",
          "[pool]") {
  ScriptedPool scripted(ScriptedOptions("tandem_no_such_worker"));
  CHECK(scripted.started.code() == absl::StatusCode::kNotFound);
  CHECK(scripted.started.message().find("tandem_no_such_worker") != absl::string_view::npos);
  CHECK(scripted.started.message().find('\n') == absl::string_view::npos);
  CHECK(HasNoChild());
}

TEST_CASE("A pool whose worker exits at once does not start", "[pool]") {
  ScriptedPool scripted(ScriptedOptions("tandem_scripted_worker_leaving"));
  CHECK(scripted.started.message() ==
        "worker test/0 ended before it was ready (exited with code 3); its own messages say why");
  CHECK(HasNoChild());
}

TEST_CASE("A pool whose worker speaks another version does not start", "[pool]") {
  ScriptedPool scripted(ScriptedOptions("tandem_scripted_worker_old"));
  CHECK(scripted.started.message().find("it speaks version 0") != absl::string_view::npos);
  CHECK(scripted.events.Count(Kind::kLaneUp) == 0);
}

TEST_CASE(
    "A model that cannot be loaded fails on each lane with the worker's reason, and others load",
    "[pool]") {
  PoolOptions options = ScriptedOptions();
  options.lanes = 2;
  ScriptedPool scripted(options);
  REQUIRE(scripted.started.ok());
  scripted.pool.Load(ScriptedModel(1, "echo", "fail"));
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(2)));
  CHECK(scripted.events.Count(Kind::kModelFailed, 1) == 2);
  CHECK(scripted.events.Last(Kind::kModelFailed).status.message() ==
        "the file is no TorchScript archive");
  CHECK(scripted.events.Count(Kind::kLaneDown) == 0);
}

TEST_CASE("A model whose file is missing fails without a path in the reason", "[pool]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  ModelVersion model = *ScriptedModel(1);
  model.file = "/nowhere/secret/model.pt";
  scripted.pool.Load(std::make_shared<ModelVersion>(model));
  REQUIRE(scripted.events.Await(Kind::kModelFailed, 1));
  CHECK(scripted.events.Last(Kind::kModelFailed).status.message() ==
        "the model's file cannot be opened: No such file or directory");
}

TEST_CASE("An unloaded model is not told of after a restart", "[pool]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "exit")));
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(2)));
  CHECK(scripted.RunAndAwait(5, 1, {1.0f}).status.code() == absl::StatusCode::kUnavailable);
  scripted.pool.Unload(1);
  REQUIRE(scripted.events.Await(Kind::kModelReady, 2, 2));
  CHECK(scripted.events.Count(Kind::kModelReady, 1) == 1);
}

TEST_CASE("Inputs that can never fit are refused with an answer, those that do not fit now by Run",
          "[pool]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "hang")));
  const std::vector<float> too_much(300'000, 1.0f);
  const BatchResult never = scripted.RunAndAwait(1, 1, too_much);
  CHECK(never.status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(never.status.message().find("scripted") != absl::string_view::npos);

  const std::vector<float> most(200'000, 1.0f);
  REQUIRE(scripted.pool.Run(0, TestBatch(2, 1).Add(most).get()).ok());
  CHECK(scripted.pool.Status().at(0).input_arena_used >= most.size() * sizeof(float));
  CHECK(scripted.pool.Run(0, TestBatch(3, 1).Add(most).get()).code() ==
        absl::StatusCode::kResourceExhausted);
  scripted.pool.Stop(Duration(0));
  CHECK(scripted.events.AnswersOfBatches() == std::map<uint64_t, int>{{1, 1}, {2, 1}});
}

TEST_CASE("A lane takes as many batches as its ring of completions holds", "[pool]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1, "hang")));
  std::map<uint64_t, int> expected;
  for (uint64_t id = 1; id <= 16; ++id) {
    REQUIRE(scripted.pool.Run(0, TestBatch(id, 1).Add({1.0f}).get()).ok());
    expected[id] = 1;
  }
  CHECK(scripted.pool.Run(0, TestBatch(17, 1).Add({1.0f}).get()).code() ==
        absl::StatusCode::kResourceExhausted);
  scripted.pool.Stop(Duration(0));
  CHECK(scripted.events.AnswersOfBatches() == expected);
}

TEST_CASE("The place of inputs and outputs is used again and again", "[pool]") {
  ScriptedPool scripted;
  REQUIRE(scripted.started.ok());
  REQUIRE(scripted.LoadAndAwait(ScriptedModel(1)));
  for (uint64_t id = 1; id <= 50; ++id) {
    const std::vector<float> numbers(40'000, static_cast<float>(id));
    const BatchResult result = scripted.RunAndAwait(id, 1, numbers);
    REQUIRE(result.status.ok());
    REQUIRE(Numbers(result.outputs.at(0)) == numbers);
  }
  CHECK(scripted.pool.Status().at(0).input_arena_used == 0);
}

}  // namespace
}  // namespace tandem::testing
