#include "core/file_text.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"

namespace tandem {
namespace {

struct Folder {
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tandem_text_XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path); }

  std::filesystem::path path;
};

TEST_CASE("A file's text is read whole", "[file_text]") {
  const Folder folder;
  const std::string text(100'000, 'x');
  std::ofstream(folder.path / "long") << text;
  std::ofstream(folder.path / "empty") << "";
  CHECK(*ReadFileText(folder.path / "long") == text);
  CHECK(ReadFileText(folder.path / "empty")->empty());
}

TEST_CASE("What is no file of a size to read is refused, and nothing waits for a pipe",
          "[file_text]") {
  const Folder folder;
  const std::string pipe = folder.path / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::ofstream(folder.path / "long") << "eleven bytes";
  CHECK(absl::IsNotFound(ReadFileText(folder.path / "none").status()));
  CHECK(absl::IsNotFound(ReadFileText(folder.path / "long/none").status()));
  CHECK(absl::IsInvalidArgument(ReadFileText(folder.path).status()));
  CHECK(absl::IsInvalidArgument(ReadFileText(pipe).status()));
  CHECK(absl::IsInvalidArgument(ReadFileText("/dev/zero").status()));
  CHECK(absl::IsInvalidArgument(ReadFileText(folder.path / "long", 11).status()));
}

}  // namespace
}  // namespace tandem
