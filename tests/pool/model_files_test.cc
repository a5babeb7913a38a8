#include "backends/pool/model_files.h"

#include <fcntl.h>

#include <string>

#include "core/file_stamp.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tandem {
namespace {

std::string ContentOf(const ipc::UniqueFd& descriptor) {
  std::string content(100, '\0');
  content.resize(static_cast<size_t>(read(descriptor.get(), content.data(), content.size())));
  return content;
}

// A version of two files, one for any batch size and one for a batch of 4.
struct TwoFiles {
  TwoFiles() {
    model.file = folder.Write("any", "any size");
    model.files_by_batch_size[4] = folder.Write("four", "of four");
  }

  TemporaryFolder folder;
  ModelVersion model;
};

}  // namespace

TEST_CASE("Each worker reads the files from their beginning", "[model_files]") {
  const TwoFiles two;
  const auto files = ModelFiles::Open(two.model);
  REQUIRE(files.ok());
  for (int worker = 0; worker < 2; ++worker) {
    const auto given = files->ForWorker();
    REQUIRE(given.ok());
    REQUIRE(given->size() == 2);
    CHECK(ContentOf((*given)[0]) == "any size");
    CHECK(ContentOf((*given)[1]) == "of four");
  }
}

TEST_CASE("A later worker gets the files that the first one had, whatever has their names",
          "[model_files]") {
  TwoFiles two;
  const auto files = ModelFiles::Open(two.model);
  REQUIRE(files.ok());
  REQUIRE(unlink(two.model.files_by_batch_size[4].c_str()) == 0);
  const std::string other = two.folder.Write("other", "another");
  REQUIRE(rename(other.c_str(), two.model.file.c_str()) == 0);
  const auto given = files->ForWorker();
  REQUIRE(given.ok());
  CHECK(ContentOf((*given)[0]) == "any size");
  CHECK(ContentOf((*given)[1]) == "of four");
}

TEST_CASE("A file that was written to is not given to a later worker", "[model_files]") {
  const TwoFiles two;
  const auto files = ModelFiles::Open(two.model);
  REQUIRE(files.ok());
  REQUIRE(truncate(two.model.file.c_str(), 3) == 0);
  const auto given = files->ForWorker();
  CHECK(absl::IsFailedPrecondition(given.status()));
  CHECK(given.status().message().find("has been written to since") != std::string::npos);
}

TEST_CASE("Files are opened only as the repository was read", "[model_files]") {
  TwoFiles two;
  for (const std::string& path : {two.model.file, two.model.files_by_batch_size[4]}) {
    struct stat info {};
    REQUIRE(stat(path.c_str(), &info) == 0);
    two.model.files_stamp += StampOf(info);
  }
  CHECK(ModelFiles::Open(two.model).ok());
  const std::string other = two.folder.Write("other", "of six");
  REQUIRE(rename(other.c_str(), two.model.files_by_batch_size[4].c_str()) == 0);
  CHECK(absl::IsFailedPrecondition(ModelFiles::Open(two.model).status()));
}

TEST_CASE("What cannot be opened, or is no file, is told", "[model_files]") {
  const TwoFiles two;
  ModelVersion missing = two.model;
  missing.file += "-none";
  CHECK(absl::IsNotFound(ModelFiles::Open(missing).status()));
  ModelVersion folder = two.model;
  folder.file = two.folder.path().string();
  CHECK(absl::IsFailedPrecondition(ModelFiles::Open(folder).status()));
  CHECK(ModelFiles::Open(ModelVersion()).value().ForWorker().value().empty());
}

}  // namespace tandem
