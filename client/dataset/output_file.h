// A file that grows at its end, can be cut back to an earlier length, and made durable. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tandem::client {

class OutputFile {
 public:
  // Keeps the first `keep` bytes of what is there. INVALID_ARGUMENT where there are fewer, or it
  // cannot be opened.
  static absl::StatusOr<OutputFile> Open(const std::string& path, int64_t keep);

  // DATA_LOSS, as from Sync, where the disk refuses it (it is full, mostly).
  absl::Status Append(std::string_view bytes);
  // Writes at the beginning, over what is there.
  absl::Status Overwrite(std::string_view bytes);
  absl::Status Sync();

  int64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  OutputFile(std::string path, std::FILE* file, int64_t size)
      : path_(std::move(path)), file_(file), size_(size) {}

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  int64_t size_;
};

// Gives `from`, whose bytes are durable, the name `to`, in one step and durably.
absl::Status MoveInPlace(const std::string& from, const std::string& to);

// Writes a small file so that either the old or the new text is there, never half of one.
absl::Status WriteWhole(const std::string& path, std::string_view text);

}  // namespace tandem::client
