#include "router/model_table.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

// A CPU pool of two lanes that are up, and a version of the model for each number.
struct Table : ModelTable {
  explicit Table(const std::vector<int64_t>& versions = {1}) {
    AddPool("cpu", PoolKind::kCpu, 2);
    for (const uint32_t lane : {0u, 1u}) LaneUp({0, lane});
    for (const int64_t version : versions) {
      entries.push_back(
          *Add(Version(BatchingModel(), static_cast<uint32_t>(entries.size()), version)));
    }
  }
  ModelState State(size_t entry = 0) const { return StateOf(*entries[entry]); }
  std::vector<ModelEntry*> entries;
};

TEST_CASE("A version is ready as soon as one lane can run it", "[models]") {
  Table table;
  CHECK(table.State() == ModelState::kLoading);
  table.Ready({0, 1}, *table.entries[0], {}, {});
  CHECK(table.State() == ModelState::kReady);
  CHECK(table.StatusOf(*table.entries[0]).pools == std::vector<std::string>{"cpu"});
  CHECK(table.StatusOf(*table.entries[0]).reason.empty());
}

TEST_CASE("A version is unavailable when no lane could load it", "[models]") {
  Table table;
  table.Failed({0, 0}, *table.entries[0], absl::InternalError("the file is cut off"));
  CHECK(table.State() == ModelState::kLoading);
  table.Failed({0, 1}, *table.entries[0], absl::InternalError("the file is cut off"));
  CHECK(table.State() == ModelState::kUnavailable);
  CHECK(table.StatusOf(*table.entries[0]).reason == "the file is cut off");
  CHECK(table.CheckReady(*table.entries[0]).message() ==
        "model \"m\" version 1 is not ready: the file is cut off");
}

TEST_CASE("A version is loaded anew when a worker comes back", "[models]") {
  Table table;
  for (const uint32_t lane : {0u, 1u}) table.Ready({0, lane}, *table.entries[0], {}, {});
  for (const uint32_t lane : {0u, 1u}) table.LaneDown({0, lane}, absl::UnavailableError("killed"));
  CHECK(table.State() == ModelState::kUnavailable);
  CHECK(table.StatusOf(*table.entries[0]).reason ==
        "its worker is being restarted (pool cpu: killed)");
  CHECK(table.StatusOf(*table.entries[0]).pools.empty());
  table.LaneUp({0, 0});
  CHECK(table.State() == ModelState::kLoading);
  table.Ready({0, 0}, *table.entries[0], {}, {});
  CHECK(table.State() == ModelState::kReady);
}

TEST_CASE("A version lacks a lane while all lanes of its pools are down", "[models]") {
  Table table;
  const ModelEntry& entry = *table.entries[0];
  CHECK(table.HasLaneUp(entry));
  table.LaneDown({0, 0}, absl::UnavailableError("killed"));
  CHECK(table.HasLaneUp(entry));
  table.LaneDown({0, 1}, absl::UnavailableError("killed"));
  CHECK_FALSE(table.HasLaneUp(entry));
  table.LaneUp({0, 1});
  CHECK(table.HasLaneUp(entry));
  // No lane would help this one.
  table.AddUnusable("broken", 0, "config.pbtxt, line 3: no such field");
  CHECK(table.HasLaneUp(**table.Find("broken", -1)));
}

TEST_CASE("A version is settled when each of its pools can run it, or never will", "[models]") {
  ModelTable table;
  ModelConfig config = BatchingModel();
  config.on_gpu = true;
  table.AddPool("cpu", PoolKind::kCpu, 1);
  table.AddPool("gpu", PoolKind::kGpu, 2);
  ModelEntry& entry = **table.Add(Version(config));
  for (const LaneId lane : {LaneId{0, 0}, LaneId{1, 0}, LaneId{1, 1}}) table.LaneUp(lane);
  table.Ready({0, 0}, entry, {}, {});
  CHECK(table.StateOf(entry) == ModelState::kReady);
  CHECK_FALSE(table.IsSettled(entry));
  table.Failed({1, 0}, entry, absl::InternalError("it crashed"));
  CHECK_FALSE(table.IsSettled(entry));
  table.Failed({1, 1}, entry, absl::InternalError("it crashed"));
  CHECK(table.IsSettled(entry));
  // The pool's workers are away, and may hold it when they are back.
  for (const uint32_t lane : {0u, 1u}) table.LaneDown({1, lane}, absl::UnavailableError("killed"));
  CHECK_FALSE(table.IsSettled(entry));
  table.LaneUp({1, 0});
  CHECK_FALSE(table.IsSettled(entry));
  table.Ready({1, 0}, entry, {}, {});
  CHECK(table.IsSettled(entry));
  table.AddUnusable("broken", 0, "config.pbtxt, line 3: no such field");
  CHECK(table.IsSettled(**table.Find("broken", -1)));
}

TEST_CASE("A worker that waits for another one's load loads nothing, and has not failed",
          "[models]") {
  Table table;
  ModelEntry& entry = *table.entries[0];
  table.NoteLoad({0, 1}, entry, ModelEvent::kLoadPutOff);
  CHECK(table.IsLoading({0, 0}));
  CHECK_FALSE(table.IsLoading({0, 1}));
  table.LaneDown({0, 0}, absl::UnavailableError("killed"));
  CHECK(table.State() == ModelState::kLoading);
  table.NoteLoad({0, 1}, entry, ModelEvent::kLoadBegun);
  CHECK(table.IsLoading({0, 1}));
}

TEST_CASE("The latest version is the highest that is ready, else the highest", "[models]") {
  Table table({1, 3, 2});
  CHECK((*table.Find("m", -1))->version == 3);
  table.Ready({0, 0}, *table.entries[0], {}, {});
  CHECK((*table.Find("m", -1))->version == 1);
  table.Ready({0, 0}, *table.entries[2], {}, {});
  CHECK((*table.Find("m", -1))->version == 2);
  CHECK((*table.Find("m", 3))->version == 3);
}

TEST_CASE("Names and versions that are not listed are not found", "[models]") {
  Table table({1, 3});
  CHECK(table.Find("n", -1).status().code() == absl::StatusCode::kNotFound);
  CHECK(table.Find("m", 2).status().message() ==
        "model \"m\" has no version 2; its versions are: 1, 3");
  CHECK(table.Find("a\nb", -1).status().message() == "there is no model \"a\\nb\"");
  CHECK(table.Find("", -1).status() == absl::InvalidArgumentError("the request names no model"));
  CHECK(table.Find(std::string(5000, 'a'), -1).status().message().size() < 150);
  CHECK(table.FindHandle(99) == nullptr);
}

TEST_CASE("A version cannot be listed twice", "[models]") {
  Table table;
  CHECK(table.Add(Version(BatchingModel(), 9)).status().code() == absl::StatusCode::kAlreadyExists);
}

TEST_CASE("A version that could not be read is listed with its reason", "[models]") {
  Table table;
  table.AddUnusable("broken", 4, "config.pbtxt, line 3: no such field");
  const ModelStatus status = table.StatusOf(**table.Find("broken", -1));
  CHECK(status.state == ModelState::kUnavailable);
  CHECK(status.reason == "config.pbtxt, line 3: no such field");
  CHECK(status.model == nullptr);
  CHECK(table.All().size() == 2);
  CHECK(table.All()[0]->name == "broken");
}

TEST_CASE("A model of which no version could be read is told without one", "[models]") {
  Table table;
  table.AddUnusable("broken", 0, "config.pbtxt, line 3: no such field");
  const absl::StatusOr<ModelEntry*> any = table.Find("broken", 7);
  REQUIRE(any.ok());
  CHECK(table.CheckReady(**any).message() ==
        "model \"broken\" is not ready: config.pbtxt, line 3: no such field");
}

TEST_CASE("The workers' signature takes the place of what the config says", "[models]") {
  Table table;
  table.Ready({0, 0}, *table.entries[0], {Spec("a", DataType::kInt64, {2})},
              {Spec("b", DataType::kInt64, {2})});
  const ModelConfig& config = table.entries[0]->model->config;
  CHECK(config.inputs[0].name == "a");
  CHECK(config.outputs[0].name == "b");
  const auto before = table.entries[0]->model;
  table.Ready({0, 1}, *table.entries[0], {Spec("a", DataType::kInt64, {2})}, {});
  CHECK(table.entries[0]->model == before);
}

TEST_CASE("A kind of pool that does not hold the version is named", "[models]") {
  Table table;
  CHECK(table.CheckPool(*table.entries[0], PoolPreference::kAny).ok());
  CHECK(table.CheckPool(*table.entries[0], PoolPreference::kCpu).ok());
  CHECK(table.CheckPool(*table.entries[0], PoolPreference::kGpu).message() ==
        "model \"m\" is on no gpu pool; it is on a cpu pool: ask for that, or change the model's "
        "instance_group");
}

TEST_CASE("A placement that keeps a version off the wanted kind of pool is named", "[models]") {
  ModelTable table;
  table.AddPool("cpu", PoolKind::kCpu, 1);
  table.AddPool("gpu", PoolKind::kGpu, 1);
  ModelConfig config = BatchingModel();
  config.placement = PlacementMode::kCpu;
  const ModelEntry* entry = *table.Add(Version(config));
  CHECK(table.CheckPool(*entry, PoolPreference::kGpu).message() ==
        "model \"m\" is on no gpu pool; it is on a cpu pool: ask for that, or change the model's "
        "placement, which is cpu");
}

TEST_CASE("Lanes that no pool has change nothing", "[models]") {
  Table table;
  table.LaneUp({5, 0});
  table.LaneDown({0, 7}, absl::UnavailableError("killed"));
  table.Ready({0, 7}, *table.entries[0], {}, {});
  CHECK(table.State() == ModelState::kLoading);
}

}  // namespace
}  // namespace tandem
