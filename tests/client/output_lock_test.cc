#include "client/dataset/output_lock.h"

#include <filesystem>

#include "client/dataset/output_file.h"
#include "tests/client/scratch_folder.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

TEST_CASE("An output is locked by one job at a time, and nothing stays behind", "[client]") {
  const ScratchFolder folder;
  const std::string output = folder.Path("a.jsonl");
  auto first = OutputLock::Take(output);
  REQUIRE(first.ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status second = OutputLock::Take(output).status();
    CHECK(absl::IsInvalidArgument(second));
    CHECK(second.message() ==
          "another job is writing --output " + output + "; await its end, or name another file");
  }
  CHECK(OutputLock::Take(folder.Path("b.jsonl")).ok());
  first->reset();
  CHECK(std::filesystem::is_empty(folder.Path(".")));
  CHECK(OutputLock::Take(output).ok());
}

TEST_CASE("A file that cannot be put in place leaves no draft behind", "[client]") {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder.Path("a"));
  CHECK_FALSE(WriteWhole(folder.Path("a"), "text").ok());
  CHECK_FALSE(folder.Has("a.new"));
  CHECK(WriteWhole(folder.Path("b"), "text").ok());
  CHECK(folder.Read("b") == "text");
}

TEST_CASE("A lock that a killed job has left is taken", "[client]") {
  const ScratchFolder folder;
  folder.Write("a.jsonl.lock", "");
  CHECK(OutputLock::Take(folder.Path("a.jsonl")).ok());
}

TEST_CASE("An output whose folder is not there cannot be locked, nor through a link", "[client]") {
  const ScratchFolder folder;
  CHECK(absl::IsInvalidArgument(OutputLock::Take(folder.Path("none/a.jsonl")).status()));
  std::filesystem::create_symlink(folder.Path("elsewhere"), folder.Path("b.jsonl.lock"));
  CHECK(absl::IsInvalidArgument(OutputLock::Take(folder.Path("b.jsonl")).status()));
  CHECK_FALSE(std::filesystem::exists(folder.Path("elsewhere")));
}

}  // namespace
}  // namespace tandem::client
