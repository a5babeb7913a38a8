// The files of a model version, open for as long as the version is served. So a worker that is
// started again gets the very files that the others have, though their folder is gone by then, or
// other files have their names. Not thread-safe.
#pragma once

#include <sys/stat.h>

#include <vector>

#include "absl/status/statusor.h"
#include "backends/ipc/unique_fd.h"
#include "core/model_config.h"

namespace tandem {

class ModelFiles {
 public:
  // NOT_FOUND, FAILED_PRECONDITION: a file cannot be opened, or is no regular file, or not the one
  // that was there when the repository was read.
  static absl::StatusOr<ModelFiles> Open(const ModelVersion& model);

  // Descriptors of their own for a worker: the file for any batch size, if there is one, then those
  // for one size each, smallest first. FAILED_PRECONDITION where a file has been written to since
  // Open: another worker may have what it was.
  absl::StatusOr<std::vector<ipc::UniqueFd>> ForWorker() const;

 private:
  struct File {
    ipc::UniqueFd descriptor;
    // As it was opened.
    struct stat info {};
  };

  std::vector<File> files_;
};

}  // namespace tandem
