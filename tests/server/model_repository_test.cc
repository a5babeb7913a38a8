#include "server/model_repository.h"

#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tandem::server {
namespace {

constexpr PoolKinds kCpuOnly{true, false};

ModelRepository Scan(const TemporaryFolder& folder) {
  auto repository = ScanModelRepository(folder.path().string(), kCpuOnly);
  REQUIRE(repository.ok());
  return *std::move(repository);
}

std::string Reason(const ModelRepository& repository, const std::string& name) {
  for (const UnusableModel& model : repository.unusable) {
    if (model.name == name) return model.reason;
  }
  return "";
}

}  // namespace

TEST_CASE("A repository's models are found, without and with a configuration", "[repository]") {
  TemporaryFolder folder;
  folder.Write("plain/1/model.pt", "x");
  folder.Write("plain/2/model.pt", "x");
  folder.Write("made/config.pbtxt", "platform: \"synthetic\"");
  folder.Write("README.md", "not a model");
  const ModelRepository repository = Scan(folder);
  CHECK(repository.unusable.empty());
  REQUIRE(repository.versions.size() == 2);
  CHECK(repository.versions[0]->config.name == "made");
  CHECK(repository.versions[0]->version == 1);
  CHECK(repository.versions[0]->file.empty());
  CHECK(repository.versions[1]->config.name == "plain");
  CHECK(repository.versions[1]->config.platform == "pytorch_libtorch");
  // The latest alone.
  CHECK(repository.versions[1]->version == 2);
  REQUIRE(repository.excluded.size() == 1);
  CHECK(repository.excluded[0].name == "plain");
  CHECK(repository.excluded[0].version == 1);
  CHECK(std::filesystem::path(repository.versions[1]->file).is_absolute());
  CHECK(repository.versions[0]->handle != repository.versions[1]->handle);
}

TEST_CASE("A compiled model has a file for any batch, or for some sizes, or both", "[repository]") {
  TemporaryFolder folder;
  for (const char* model : {"any", "both", "fixed", "none"}) {
    folder.Write(std::string(model) + "/config.pbtxt", "platform: \"torch_aoti\"");
  }
  folder.Write("any/1/model.pt2", "x");
  folder.Write("both/1/model.pt2", "x");
  folder.Write("both/1/model.b4.pt2", "x");
  folder.Write("fixed/1/model.b1.pt2", "x");
  folder.Write("fixed/1/model.b16.pt2", "x");
  for (const char* other : {"model.b0.pt2", "model.b01.pt2", "model.bx.pt2", "model.b2.pt"}) {
    folder.Write(std::string("fixed/1/") + other, "x");
  }
  folder.Write("none/1/model.pt", "x");
  const ModelRepository repository = Scan(folder);
  REQUIRE(repository.versions.size() == 3);
  const ModelVersion& any = *repository.versions[0];
  CHECK(std::filesystem::path(any.file).filename() == "model.pt2");
  CHECK(any.files_by_batch_size.empty());
  const ModelVersion& both = *repository.versions[1];
  CHECK_FALSE(both.file.empty());
  REQUIRE(both.files_by_batch_size.size() == 1);
  CHECK(std::filesystem::path(both.files_by_batch_size.at(4)).filename() == "model.b4.pt2");
  const ModelVersion& fixed = *repository.versions[2];
  CHECK(fixed.file.empty());
  REQUIRE(fixed.files_by_batch_size.size() == 2);
  CHECK(fixed.files_by_batch_size.count(1) == 1);
  CHECK(fixed.files_by_batch_size.count(16) == 1);
  CHECK(Reason(repository, "none") != "");
}

TEST_CASE("The version policy chooses among the folders", "[repository]") {
  TemporaryFolder folder;
  for (const char* version : {"1", "2", "10"}) {
    folder.Write(std::string("all/") + version + "/model.pt", "x");
    folder.Write(std::string("some/") + version + "/model.pt", "x");
    folder.Write(std::string("two/") + version + "/model.pt", "x");
  }
  folder.Write("all/config.pbtxt", "version_policy { all { } }");
  folder.Write("some/config.pbtxt", "version_policy { specific { versions: [ 1, 7 ] } }");
  folder.Write("two/config.pbtxt", "version_policy { latest { num_versions: 2 } }");
  const ModelRepository repository = Scan(folder);
  std::vector<std::string> served;
  for (const auto& model : repository.versions) {
    served.push_back(model->config.name + "/" + std::to_string(model->version));
  }
  CHECK(served ==
        std::vector<std::string>{"all/1", "all/2", "all/10", "some/1", "two/2", "two/10"});
  REQUIRE(repository.unusable.size() == 1);
  CHECK(repository.unusable[0].version == 7);
  CHECK(repository.unusable[0].reason == "some/7/model.pt cannot be found");
}

TEST_CASE("One broken model does not keep the others from being served", "[repository]") {
  TemporaryFolder folder;
  folder.Write("good/1/model.pt", "x");
  folder.Write("bad/1/model.pt", "x");
  folder.Write("bad/config.pbtxt", "\nmax_batch_size: -1");
  folder.Write("empty/notes.txt", "x");
  std::filesystem::create_directories(folder.path() / "folder/1/model.pt");
  const ModelRepository repository = Scan(folder);
  REQUIRE(repository.versions.size() == 1);
  CHECK(Reason(repository, "bad").find("config.pbtxt:2: max_batch_size") == 0);
  CHECK(Reason(repository, "empty").find("version") != std::string::npos);
  CHECK(Reason(repository, "folder").find("not a regular file") != std::string::npos);
  for (const UnusableModel& model : repository.unusable) {
    CHECK(model.reason.find(folder.path().string()) == std::string::npos);
  }
}

TEST_CASE("Links may lead within the repository, and not out of it", "[repository]") {
  TemporaryFolder outside;
  outside.Write("1/model.pt", "x");
  TemporaryFolder folder;
  folder.Write("real/1/model.pt", "x");
  std::filesystem::create_directory_symlink("real", folder.path() / "alias");
  std::filesystem::create_directory_symlink(outside.path(), folder.path() / "escape");
  std::filesystem::create_directories(folder.path() / "file/1");
  std::filesystem::create_symlink(outside.path() / "1/model.pt", folder.path() / "file/1/model.pt");
  const ModelRepository repository = Scan(folder);
  REQUIRE(repository.versions.size() == 2);
  CHECK(repository.versions[0]->config.name == "alias");
  CHECK(Reason(repository, "escape").find("out of the model repository") != std::string::npos);
  CHECK(Reason(repository, "file").find("out of the model repository") != std::string::npos);
}

TEST_CASE("Links that lead nowhere are told as that, not as a missing configuration",
          "[repository]") {
  TemporaryFolder folder;
  namespace fs = std::filesystem;
  fs::create_directory_symlink("circle", folder.path() / "circle");
  folder.Write("around/1/model.pt", "x");
  fs::create_symlink("config.pbtxt", folder.path() / "around/config.pbtxt");
  folder.Write("dangling/1/model.pt", "x");
  fs::create_symlink("gone", folder.path() / "dangling/config.pbtxt");
  const ModelRepository repository = Scan(folder);
  CHECK(repository.versions.empty());
  CHECK(Reason(repository, "circle") ==
        "circle cannot be followed: its symbolic links lead in a circle");
  CHECK(Reason(repository, "around") ==
        "around/config.pbtxt cannot be followed: its symbolic links lead in a circle");
  CHECK(Reason(repository, "dangling") ==
        "dangling/config.pbtxt is a symbolic link that leads to nothing");
}

TEST_CASE("A configuration that is a pipe is refused, and not waited for", "[repository]") {
  TemporaryFolder folder;
  folder.Write("model/1/model.pt", "x");
  REQUIRE(mkfifo((folder.path() / "model/config.pbtxt").c_str(), 0600) == 0);
  CHECK(Reason(Scan(folder), "model") == "config.pbtxt: it is not a regular file");
}

TEST_CASE("Folders whose names are no model's are listed, and no version's are noted",
          "[repository]") {
  TemporaryFolder folder;
  folder.Write("has space/1/model.pt", "x");
  folder.Write("red\x1b[31m/1/model.pt", "x");
  folder.Write("lost+found/1/model.pt", "x");
  folder.Write("a file", "x");
  folder.Write("model/1/model.pt", "x");
  folder.Write("model/01/model.pt", "x");
  folder.Write(".git/1/model.pt", "x");
  const ModelRepository repository = Scan(folder);
  CHECK(repository.versions.size() == 1);
  REQUIRE(repository.unusable.size() == 2);
  CHECK(repository.unusable[0].name == "has space");
  CHECK(repository.unusable[1].name == "red\\x1b[31m");
  CHECK(Reason(repository, "has space") ==
        "the name of its folder is none for a model: expected letters, digits, '_', '.' and '-'");
  CHECK(repository.notes.size() == 1);
}

TEST_CASE("A repository that is not there is not found", "[repository]") {
  CHECK(absl::IsNotFound(ScanModelRepository("no/such/folder", kCpuOnly).status()));
}

}  // namespace tandem::server
