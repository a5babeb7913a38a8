// Keeps two jobs from writing one output. Held until it is destroyed, or the process ends, however
// it does. Not copied.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace tandem::client {

class OutputLock {
 public:
  // INVALID_ARGUMENT, naming the output, where another job holds it or its folder is not to be
  // written to. Locks OUTPUT.lock, since the output's own files are replaced and come and go.
  static absl::StatusOr<std::unique_ptr<OutputLock>> Take(const std::string& output);

  ~OutputLock();
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

 private:
  OutputLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;
};

}  // namespace tandem::client
