// Reads a file that an operator named.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace tandem {

// The whole of a file. Never waits, as opening a pipe would. NOT_FOUND: there is none.
// INVALID_ARGUMENT: it is a folder, a pipe or a device, or has more than `most` bytes. UNAVAILABLE:
// the system does not let it be read. The message is the end of a sentence that names the file.
absl::StatusOr<std::string> ReadFileText(const std::string& path, size_t most = size_t{16} << 20);

}  // namespace tandem
