// The server's log: one line for each event, on standard error, as text or as JSON.
#pragma once

#include "core/log.h"
#include "server/serve_options.h"

namespace tandem::server {

// Thread-safe. Lines below `level` are dropped. Control characters are escaped, so that a name that
// a client chose cannot forge a line.
LogSink MakeLog(LogLevel level, LogFormat format);

}  // namespace tandem::server
