#include "client/dataset/output_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

// False where the holder before has removed the file since it was opened.
bool IsNamed(int fd, const std::string& path) {
  struct stat locked {};
  struct stat named {};
  return fstat(fd, &locked) == 0 && lstat(path.c_str(), &named) == 0 &&
         locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

}  // namespace

absl::StatusOr<std::unique_ptr<OutputLock>> OutputLock::Take(const std::string& output) {
  const std::string path = output + ".lock";
  while (true) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " cannot be opened: ", std::strerror(errno)));
    }
    auto lock = absl::WrapUnique(new OutputLock(path, fd));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
      if (IsNamed(fd, path)) return lock;
      continue;
    }
    return absl::InvalidArgumentError(
        errno == EWOULDBLOCK ? absl::StrCat("another job is writing --output ", output,
                                            "; await its end, or name another file")
                             : absl::StrCat(path, " cannot be locked: ", std::strerror(errno)));
  }
}

OutputLock::~OutputLock() {
  // Who does not hold it must leave the name to who does.
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0 && IsNamed(fd_, path_)) unlink(path_.c_str());
  close(fd_);
}

}  // namespace tandem::client
