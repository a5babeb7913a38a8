#include "router/model_table.h"
#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

// A CPU pool of two lanes that are up; versions of "m" are made with handles that count up.
struct UpdatedTable : ModelTable {
  UpdatedTable() {
    AddPool("cpu", PoolKind::kCpu, 2);
    for (const uint32_t lane : {0u, 1u}) LaneUp({0, lane});
  }

  std::shared_ptr<const ModelVersion> Make(int64_t version, std::string stamp = "") {
    auto model = std::make_shared<ModelVersion>();
    model->handle = ++handles;
    model->version = version;
    model->config = BatchingModel();
    model->files_stamp = std::move(stamp);
    return model;
  }
  ModelChanges Want(std::vector<std::shared_ptr<const ModelVersion>> versions) {
    return Update({"m", std::move(versions), {}});
  }
  ModelChanges Ready(ModelEntry& entry) {
    for (const uint32_t lane : {0u, 1u}) ModelTable::Ready({0, lane}, entry, {}, {});
    return Settle("m");
  }
  ModelChanges Fail(ModelEntry& entry, const std::string& reason) {
    for (const uint32_t lane : {0u, 1u}) Failed({0, lane}, entry, absl::InternalError(reason));
    return Settle("m");
  }
  // A first version that serves.
  ModelEntry& Serve(int64_t version) {
    ModelEntry& entry = *Want({Make(version)}).added.at(0);
    Ready(entry);
    return entry;
  }
  const ModelEntry* Default() const { return *Find("m", -1); }
  std::string Reason(int64_t version) const { return StatusOf(**Find("m", version)).reason; }

  uint32_t handles = 0;
};

TEST_CASE("A new version becomes the default once every lane has tried it", "[update]") {
  UpdatedTable table;
  ModelEntry& old = table.Serve(1);
  const ModelChanges changes = table.Want({table.Make(2)});
  REQUIRE(changes.added.size() == 1);
  CHECK(changes.gone.empty());
  ModelEntry& next = *changes.added[0];
  CHECK(table.Default() == &old);
  CHECK(table.IsArriving("m"));
  table.ModelTable::Ready({0, 0}, next, {}, {});
  CHECK(table.Settle("m").gone.empty());
  CHECK(table.Default() == &old);
  table.ModelTable::Ready({0, 1}, next, {}, {});
  CHECK(table.Settle("m").gone == std::vector<ModelEntry*>{&old});
  CHECK(table.Default() == &next);
  CHECK_FALSE(table.IsArriving("m"));
  CHECK(table.Find("m", 1).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("An old version with requests goes when the last of them does", "[update]") {
  UpdatedTable table;
  ModelEntry& old = table.Serve(1);
  old.in_flight.Enter();
  old.in_flight.Enter();
  CHECK(table.Ready(*table.Want({table.Make(2)}).added.at(0)).gone.empty());
  CHECK_FALSE(old.in_flight.Leave());
  CHECK(old.in_flight.Leave());
  const uint32_t handle = old.model->handle;
  table.Erase(old);
  CHECK(table.FindHandle(handle) == nullptr);
  CHECK(table.All().size() == 1);
}

TEST_CASE("The old version stays where the new one cannot be loaded, and says so", "[update]") {
  UpdatedTable table;
  ModelEntry& old = table.Serve(1);
  ModelEntry& next = *table.Want({table.Make(2)}).added.at(0);
  CHECK(table.Fail(next, "the file is cut off").gone.empty());
  CHECK(table.Default() == &old);
  CHECK(table.Reason(2) == "the file is cut off");
  CHECK(table.Reason(1) ==
        "it is in the repository no more, and stays until what comes in its place is ready");
  // The same again is another try; the failed one makes room for it.
  const ModelChanges again = table.Want({table.Make(2)});
  REQUIRE(again.added.size() == 1);
  CHECK(again.gone == std::vector<ModelEntry*>{&next});
  table.Erase(next);
  CHECK(table.Ready(*again.added[0]).gone == std::vector<ModelEntry*>{&old});
}

TEST_CASE("An old version that the policy excludes says so", "[update]") {
  UpdatedTable table;
  table.Serve(1);
  table.Update({"m", {table.Make(2)}, {}, {1}});
  CHECK(table.Reason(1) ==
        "its model's version_policy excludes it, and it stays until what comes in its place is "
        "ready");
}

TEST_CASE("A version that ended its worker and is to be tried again is no other try for an update",
          "[update]") {
  UpdatedTable table;
  ModelEntry& next = *table.Want({table.Make(1)}).added.at(0);
  for (const uint32_t lane : {0u, 1u}) table.LaneDown({0, lane}, absl::UnavailableError("died"));
  CHECK(table.Fail(next, "the worker died").gone.empty());
  const ModelChanges again = table.Want({table.Make(1)});
  CHECK(again.added.empty());
  CHECK(again.gone.empty());
  CHECK(table.IsArriving("m"));
}

TEST_CASE("Files that have changed are loaded beside the version, which they then replace",
          "[update]") {
  UpdatedTable table;
  ModelEntry& old = table.Serve(1);
  CHECK(table.Want({table.Make(1)}).added.empty());
  ModelEntry& next = *table.Want({table.Make(1, "changed")}).added.at(0);
  CHECK(table.Default() == &old);
  CHECK(table.All().size() == 1);
  CHECK(table.Reason(1) == "its files have changed and are being loaded");
  // Asked again meanwhile, nothing is loaded twice.
  CHECK(table.Want({table.Make(1, "changed")}).added.empty());
  CHECK(table.Ready(next).gone == std::vector<ModelEntry*>{&old});
  CHECK(table.Default() == &next);
  CHECK(table.Reason(1).empty());
}

TEST_CASE("Changed files that cannot be loaded, or read, leave the version as it was", "[update]") {
  UpdatedTable table;
  ModelEntry& old = table.Serve(1);
  ModelEntry& next = *table.Want({table.Make(1, "changed")}).added.at(0);
  CHECK(table.Fail(next, "the file is cut off").gone.empty());
  CHECK(table.Default() == &old);
  CHECK(table.Reason(1) ==
        "its files have changed and cannot be served, so it stays as it was: the file is cut off");
  CHECK(table.Update({"m", {}, {{1, "it is no file"}}}).gone == std::vector<ModelEntry*>{&next});
  CHECK(table.Reason(1) ==
        "its files have changed and cannot be served, so it stays as it was: it is no file");
  // As they were at first.
  CHECK(table.Want({table.Make(1)}).added.empty());
  CHECK(table.Reason(1).empty());
}

TEST_CASE("Changed files that no pool serves leave the version as it was, and are not loaded",
          "[update]") {
  UpdatedTable table;
  table.Serve(1);
  const auto changed = [&] {
    auto model = std::make_shared<ModelVersion>(*table.Make(1, "changed"));
    model->config.on_cpu = false;
    model->config.on_gpu = true;
    return model;
  };
  for (int i = 0; i < 2; ++i) {
    CHECK(table.Want({changed()}).added.empty());
    CHECK(table.Default()->version == 1);
    CHECK(table.Reason(1).find("its files have changed and cannot be served") == 0);
  }
}

TEST_CASE("A model whose configuration cannot be read keeps all its versions", "[update]") {
  UpdatedTable table;
  ModelEntry& one = table.Serve(1);
  CHECK(table.Update({"m", {}, {{0, "config.pbtxt:1: nonsense"}}}).gone.empty());
  CHECK(table.Default() == &one);
  CHECK(table.All().size() == 2);
  CHECK(table.Want({table.Make(1)}).gone.size() == 1);
  CHECK(table.All().size() == 1);
}

TEST_CASE("A model that is to have no version goes as a whole", "[update]") {
  UpdatedTable table;
  ModelEntry& one = table.Serve(1);
  CHECK(table.Want({}).gone == std::vector<ModelEntry*>{&one});
  CHECK(table.Find("m", -1).status().code() == absl::StatusCode::kNotFound);
  CHECK(table.Names().empty());
}

TEST_CASE("While all workers are away requests go to the version that served, not to the new one",
          "[update]") {
  UpdatedTable table;
  ModelEntry& old = table.Serve(1);
  ModelEntry& next = *table.Want({table.Make(2)}).added.at(0);
  for (const uint32_t lane : {0u, 1u}) table.LaneDown({0, lane}, absl::UnavailableError("died"));
  table.Fail(next, "the worker died while it loaded the model");
  CHECK(table.Default() == &old);
  CHECK(table.CheckReady(*table.Default()).ok());
}

}  // namespace
}  // namespace tandem
