#include "core/folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("A folder's entries are listed in order", "[folder]") {
  std::string pattern = (std::filesystem::temp_directory_path() / "tandem-XXXXXX").string();
  const std::string folder = mkdtemp(pattern.data());
  CHECK(ListFolder(folder)->empty());
  for (const char* name : {"b", "a", ".c"})
    REQUIRE(mkdir((folder + "/" + name).c_str(), 0700) == 0);
  CHECK(*ListFolder(folder) == std::vector<std::string>{".c", "a", "b"});
  std::filesystem::remove_all(folder);
}

TEST_CASE("What cannot be listed is told without its path", "[folder]") {
  for (const char* path : {"/dev/null", "/nowhere/at/all"}) {
    const absl::Status status = ListFolder(path).status();
    CHECK(absl::IsUnavailable(status));
    CHECK(absl::StrContains(status.message(), "it cannot be listed: "));
    CHECK_FALSE(absl::StrContains(status.message(), "/"));
  }
}

TEST_CASE("A folder of a process that has ended cannot be listed", "[folder]") {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const int tasks = open(absl::StrCat("/proc/", child, "/task").c_str(), O_RDONLY | O_DIRECTORY);
  REQUIRE(tasks >= 0);
  kill(child, SIGKILL);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  const absl::StatusOr<std::vector<std::string>> listed =
      ListFolder(absl::StrCat("/proc/self/fd/", tasks));
  close(tasks);
  CHECK(absl::IsUnavailable(listed.status()));
}

}  // namespace
}  // namespace tandem
