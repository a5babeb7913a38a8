#include "core/worker_scratch.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

constexpr absl::string_view kPrefix = "tandem-worker-";

// The folder, locked by this process for as long as the descriptor is open; -1 where somebody else
// has it. A lock and not a look for the process: containers may share the folder for temporary
// files, and not see each other's processes.
int Lock(const std::filesystem::path& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0 || flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  close(descriptor);
  return -1;
}

bool IsScratch(absl::string_view name) {
  return absl::ConsumePrefix(&name, kPrefix) && !name.empty() &&
         std::all_of(name.begin(), name.end(), absl::ascii_isdigit);
}

void RemoveAbandoned(const std::filesystem::path& temporary) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(temporary, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::filesystem::path& folder = entry->path();
    struct stat status {};
    // Another user's may be anything.
    if (!IsScratch(folder.filename().string()) || lstat(folder.c_str(), &status) != 0 ||
        status.st_uid != geteuid()) {
      continue;
    }
    const int lock = Lock(folder);
    if (lock < 0) continue;
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    close(lock);
  }
}

}  // namespace

std::filesystem::path WorkerScratch(pid_t pid) {
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  return error ? std::filesystem::path() : temporary / absl::StrCat(kPrefix, pid);
}

void UseWorkerScratch() {
  const std::filesystem::path folder = WorkerScratch(getpid());
  if (folder.empty()) return;
  RemoveAbandoned(folder.parent_path());
  // Another user's folder of that name stays, and is not used.
  if (mkdir(folder.c_str(), S_IRWXU) != 0) return;
  // Open until the process ends. Another worker may have removed the folder before that.
  [[maybe_unused]] const int lock = Lock(folder);
  std::error_code ignored;
  if (std::filesystem::exists(folder, ignored)) {
    setenv("TMPDIR", folder.c_str(), /*overwrite=*/1);
  }
}

void RemoveWorkerScratch(pid_t pid) {
  const std::filesystem::path folder = WorkerScratch(pid);
  if (folder.empty()) return;
  // One that lives, in a container that counts processes by itself, may have the same number.
  const int lock = Lock(folder);
  if (lock < 0) return;
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  close(lock);
}

}  // namespace tandem
