// What a folder holds.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tandem {

// The names of the folder's entries but "." and "..", ascending. UNAVAILABLE, in a few words
// without the path, where it cannot be listed, or not to its end: a disk fails, or it is the
// /proc/PID/… of a process that ends meanwhile. Thread-safe; throws nothing.
absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& folder);

}  // namespace tandem
