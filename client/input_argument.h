// The value of --input: NAME=VALUE, where VALUE is a .npy or .json file, or JSON itself.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/array.h"

namespace tandem::client {

// INVALID_ARGUMENT, naming the input and the file, where it cannot be read. NAME= may be left out.
absl::StatusOr<Array> ParseInputArgument(const std::string& argument);
absl::StatusOr<std::vector<Array>> ParseInputArguments(const std::vector<std::string>& arguments);

// The array of a .npy file.
absl::StatusOr<Array> ReadNpyFile(const std::string& path);

}  // namespace tandem::client
