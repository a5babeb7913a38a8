// What --concurrency and --rate ask for: one load after the other. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tandem::client {

// "16": one level. "1,4,16": these. "1:64": doubled from the first until the last, which is always
// there. "1:64:8": in steps of 8. Levels are above 0; INVALID_ARGUMENT, naming the option, for
// anything else and for more than 1000 levels.
absl::StatusOr<std::vector<double>> ParseLevels(const std::string& option, const std::string& text);

}  // namespace tandem::client
