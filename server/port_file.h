// The file of --port-file: where a server that was given free ports tells them, as JSON. Made when
// the server is ready, so that whoever waits for it finds a server that answers. Free functions.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/front_end.h"

namespace tandem::server {

// INVALID_ARGUMENT, one line, where the file could not be written; leaves nothing behind.
absl::Status CheckPortFile(const std::string& path);

// Replaces the file at once, so that nobody reads half of it; a pipe or a device is written to as
// it is. UNAVAILABLE where it cannot be written.
absl::Status WritePortFile(const std::string& path, Ports ports);

// Once the server ends: nobody is to look for it there any more. Leaves what another server has
// written since, and pipes and devices.
void RemovePortFile(const std::string& path, Ports ports);

}  // namespace tandem::server
