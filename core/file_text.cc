#include "core/file_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

absl::Status Unreadable() {
  return absl::UnavailableError(absl::StrCat("it cannot be read: ", strerrordesc_np(errno)));
}

}  // namespace

absl::StatusOr<std::string> ReadFileText(const std::string& path, size_t most) {
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError("there is no such file");
    return Unreadable();
  }
  const absl::Cleanup closer = [file] { close(file); };
  struct stat status;
  if (fstat(file, &status) != 0) return Unreadable();
  if (!S_ISREG(status.st_mode)) return absl::InvalidArgumentError("it is not a regular file");
  std::string text;
  char block[1 << 14];
  while (true) {
    const ssize_t size = read(file, block, sizeof(block));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Unreadable();
    if (size == 0) return text;
    text.append(block, static_cast<size_t>(size));
    if (text.size() > most) {
      return absl::InvalidArgumentError(absl::StrCat("it has more than ", most, " bytes"));
    }
  }
}

}  // namespace tandem
