// The model repository that a chaos run needs: synthetic models which echo, and which hang, crash
// or break the protocol when a request asks for it.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace tandem::client {

// Writes them into the folder, which is made where it is not there. INVALID_ARGUMENT where that
// cannot be.
absl::Status WriteChaosModels(const std::string& folder);

}  // namespace tandem::client
