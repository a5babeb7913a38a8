// A folder for temporary files, which goes with this.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace tandem::client {

class ScratchDirectory {
 public:
  // `prefix` is the beginning of its name.
  explicit ScratchDirectory(const std::string& prefix) {
    path_ = (std::filesystem::temp_directory_path() / (prefix + "-XXXXXX")).string();
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  // Empty where none could be made.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tandem::client
