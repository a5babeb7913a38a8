#include "core/worker_scratch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace tandem {

std::filesystem::path WorkerScratch(pid_t pid) {
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  return error ? std::filesystem::path() : temporary / absl::StrCat("tandem-worker-", pid);
}

void UseWorkerScratch() {
  const std::filesystem::path folder = WorkerScratch(getpid());
  if (folder.empty()) return;
  // Of an earlier process of that number, whose server was killed as well.
  RemoveWorkerScratch(getpid());
  // Another user's folder of that name stays, and is not used.
  if (mkdir(folder.c_str(), S_IRWXU) == 0) setenv("TMPDIR", folder.c_str(), /*overwrite=*/1);
}

void RemoveWorkerScratch(pid_t pid) {
  const std::filesystem::path folder = WorkerScratch(pid);
  std::error_code ignored;
  if (!folder.empty()) std::filesystem::remove_all(folder, ignored);
}

}  // namespace tandem
