// The server's process from start to end: takes the ports, starts the pools, loads the models,
// serves, drains, stops.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "server/serve_options.h"

namespace tandem::server {

// Resolves the options anew, from the same flags and the file as it is now.
using OptionsReader = std::function<absl::StatusOr<ServeOptions>()>;

// Returns the program's exit code. What goes wrong before serving is told in one line on standard
// error. `read_again` is asked at SIGHUP. To be called by a process without other threads.
int RunServer(const ServeOptions& options, const OptionsReader& read_again);

}  // namespace tandem::server
