// Reads a file of text that the command line names.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace tandem::client {

// The whole of a file, or of a pipe. INVALID_ARGUMENT, beginning with the path, where it is a
// folder, cannot be read or has more than 1 GiB.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace tandem::client
