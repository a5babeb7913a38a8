#include "server/cost_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/server/full_disk.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tandem::server {
namespace {

ModelStatus Learnt() {
  ModelStatus model;
  model.name = "net";
  model.version = 2;
  PoolCost cost;
  cost.pool = "cpu";
  cost.alpha = std::chrono::microseconds(120);
  cost.beta = std::chrono::nanoseconds(30'500);
  cost.is_of_one_size = true;
  cost.batches = 3;
  model.costs.push_back(cost);
  return model;
}

}  // namespace

TEST_CASE("What was learnt comes back after a restart", "[cost_file]") {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "state").string();
  REQUIRE(WriteCosts(path, {Learnt()}).ok());
  // A second time, over the first.
  REQUIRE(WriteCosts(path, {Learnt()}).ok());
  const auto costs = ReadCosts(path);
  REQUIRE(costs.ok());
  REQUIRE(costs->size() == 1);
  const SavedCost& saved = costs->front();
  CHECK(saved.model == "net");
  CHECK(saved.version == 2);
  CHECK(saved.cost.pool == "cpu");
  CHECK(saved.cost.alpha == std::chrono::microseconds(120));
  CHECK(saved.cost.beta == std::chrono::nanoseconds(30'500));
  CHECK(saved.cost.is_of_one_size);
  CHECK(saved.cost.batches == 3);
}

TEST_CASE("A state file that cannot be written is refused before, and nothing is left behind",
          "[cost_file]") {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "state").string();
  CHECK(CheckCostFile(path).ok());
  CHECK(std::filesystem::is_empty(folder.path()));
  const std::string bad[] = {folder.path().string(), path + "/in/no/folder", "/dev/null",
                             "/proc/state"};
  for (const std::string& each : bad) {
    const absl::Status status = CheckCostFile(each);
    INFO(status);
    CHECK(absl::IsInvalidArgument(status));
    CHECK(status.message().find("--state-file=" + each + ": ") == 0);
    CHECK(status.message().find('\n') == std::string::npos);
  }
  REQUIRE(WriteCosts(path, {Learnt()}).ok());
  CHECK(CheckCostFile(path).ok());
  CHECK(ReadCosts(path)->size() == 1);
}

TEST_CASE("A file that is not there yet holds nothing", "[cost_file]") {
  const TemporaryFolder folder;
  const auto costs = ReadCosts((folder.path() / "state").string());
  REQUIRE(costs.ok());
  CHECK(costs->empty());
}

TEST_CASE("A file that holds something else is told of, and nothing is taken from it",
          "[cost_file]") {
  const std::string text =
      GENERATE("", "{", "[]", "{\"format\": 3, \"costs\": []}", "{\"format\": 2}",
               "{\"format\": 2, \"costs\": [{}]}",
               "{\"format\": 2, \"costs\": [{\"model\": \"m\", \"version\": 1, \"pool\": \"cpu\", "
               "\"alpha_ns\": -1, \"beta_ns\": 1}]}");
  CAPTURE(text);
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "state").string();
  std::ofstream(path) << text;
  const auto costs = ReadCosts(path);
  REQUIRE_FALSE(costs.ok());
  CHECK(costs.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(costs.status().message().find("--state-file=") == 0);
}

TEST_CASE("A place that cannot be written is told of", "[cost_file]") {
  const TemporaryFolder folder;
  CHECK(WriteCosts((folder.path() / "no" / "such" / "state").string(), {Learnt()}).code() ==
        absl::StatusCode::kUnavailable);
}

TEST_CASE("A full disk leaves the state file as it was, and no draft beside it", "[cost_file]") {
  const TemporaryFolder folder;
  const std::string path = folder.Write("state", "as it was");
  absl::Status status;
  {
    const FullDisk full;
    status = WriteCosts(path, {Learnt()});
  }
  CHECK(absl::IsUnavailable(status));
  CHECK(std::filesystem::file_size(path) == 9);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

}  // namespace tandem::server
