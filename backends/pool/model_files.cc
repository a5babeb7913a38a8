#include "backends/pool/model_files.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/file_stamp.h"

namespace tandem {
namespace {

// Non-blocking, so that a pipe in the file's place cannot stop the server; then nothing but a
// regular file is taken.
absl::StatusOr<ipc::UniqueFd> OpenForReading(const std::string& path) {
  ipc::UniqueFd descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!descriptor.valid()) {
    return absl::NotFoundError(
        absl::StrCat("the model's file cannot be opened: ", strerrordesc_np(errno)));
  }
  return descriptor;
}

}  // namespace

absl::StatusOr<ModelFiles> ModelFiles::Open(const ModelVersion& model) {
  std::vector<std::string> paths;
  if (!model.file.empty()) paths.push_back(model.file);
  for (const auto& [size, path] : model.files_by_batch_size) paths.push_back(path);
  ModelFiles opened;
  std::string stamp;
  for (const std::string& path : paths) {
    absl::StatusOr<ipc::UniqueFd> descriptor = OpenForReading(path);
    if (!descriptor.ok()) return descriptor.status();
    File& file = opened.files_.emplace_back();
    file.descriptor = *std::move(descriptor);
    if (fstat(file.descriptor.get(), &file.info) != 0 || !S_ISREG(file.info.st_mode)) {
      return absl::FailedPreconditionError("the model's file is not a regular file");
    }
    stamp += StampOf(file.info);
  }
  // Another worker may have opened what was there before.
  if (!model.files_stamp.empty() && stamp != model.files_stamp) {
    return absl::FailedPreconditionError(
        "the model's file is not what it was when the repository was read; have it read again");
  }
  return opened;
}

absl::StatusOr<std::vector<ipc::UniqueFd>> ModelFiles::ForWorker() const {
  std::vector<ipc::UniqueFd> descriptors;
  for (const File& file : files_) {
    struct stat now {};
    if (fstat(file.descriptor.get(), &now) != 0 || StampOf(now) != StampOf(file.info)) {
      return absl::FailedPreconditionError(
          "the model's file has been written to since it was first loaded; have the repository "
          "read again, and put changed files into their place whole");
    }
    // Not a duplicate, which would share its offset with those of other workers.
    absl::StatusOr<ipc::UniqueFd> descriptor =
        OpenForReading(absl::StrCat("/proc/self/fd/", file.descriptor.get()));
    if (!descriptor.ok()) return descriptor.status();
    descriptors.push_back(*std::move(descriptor));
  }
  return descriptors;
}

}  // namespace tandem
