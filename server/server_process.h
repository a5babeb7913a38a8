// The server's process from start to end: takes the ports, starts the pools, loads the models,
// serves, drains, stops.
#pragma once

#include "server/serve_options.h"

namespace tandem::server {

// Returns the program's exit code. What goes wrong before serving is told in one line on standard
// error. To be called by a process without other threads.
int RunServer(const ServeOptions& options);

}  // namespace tandem::server
