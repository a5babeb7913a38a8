#include "client/dataset/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

absl::Status DiskError(const std::string& path) {
  return absl::DataLossError(absl::StrCat(path, " cannot be written: ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<OutputFile> OutputFile::Open(const std::string& path, int64_t keep) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  std::FILE* file = fd < 0 ? nullptr : fdopen(fd, "r+b");
  if (file == nullptr) {
    const absl::Status status =
        absl::InvalidArgumentError(absl::StrCat(path, " cannot be opened: ", std::strerror(errno)));
    if (fd >= 0) close(fd);
    return status;
  }
  OutputFile output(path, file, keep);
  std::fseek(file, 0, SEEK_END);
  if (std::ftell(file) < keep) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is shorter than when the job was interrupted: it cannot be resumed"));
  }
  if (ftruncate(fd, keep) != 0) return DiskError(path);
  std::fseek(file, 0, SEEK_END);
  return output;
}

absl::Status OutputFile::Append(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
    return DiskError(path_);
  size_ += static_cast<int64_t>(bytes.size());
  return absl::OkStatus();
}

absl::Status OutputFile::Overwrite(std::string_view bytes) {
  std::fseek(file_.get(), 0, SEEK_SET);
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size();
  std::fseek(file_.get(), 0, SEEK_END);
  return written ? absl::OkStatus() : DiskError(path_);
}

absl::Status OutputFile::Sync() {
  if (std::fflush(file_.get()) != 0 || fsync(fileno(file_.get())) != 0) return DiskError(path_);
  return absl::OkStatus();
}

absl::Status MoveInPlace(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return DiskError(to);
  // The new name is durable only when the folder is.
  std::filesystem::path folder = std::filesystem::path(to).parent_path();
  if (folder.empty()) folder = ".";
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::OkStatus();
  fsync(fd);
  close(fd);
  return absl::OkStatus();
}

absl::Status WriteWhole(const std::string& path, std::string_view text) {
  const std::string next = path + ".new";
  absl::StatusOr<OutputFile> file = OutputFile::Open(next, 0);
  if (!file.ok()) return file.status();
  absl::Status status = file->Append(text);
  if (status.ok()) status = file->Sync();
  if (status.ok()) status = MoveInPlace(next, path);
  if (!status.ok()) std::remove(next.c_str());
  return status;
}

}  // namespace tandem::client
