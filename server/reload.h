// What SIGHUP may change while the server runs. Pure function, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "server/serve_options.h"

namespace tandem::server {

// INVALID_ARGUMENT, naming the first setting that only a new start can change and where it stands,
// where `after` differs from `before` in one.
absl::Status CheckReload(const ServeOptions& before, const ServeOptions& after);

}  // namespace tandem::server
