// The server's log: one line for each event, on standard error, as text or as JSON.
#pragma once

#include <memory>

#include "core/log.h"
#include "server/serve_options.h"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace tandem::server {

// Thread-safe. Control characters are escaped, so that a name that a client chose cannot forge a
// line.
class Log {
 public:
  Log(LogLevel level, LogFormat format);

  // Lines below it are dropped.
  void SetLevel(LogLevel level);
  // May outlive this.
  const LogSink& sink() const { return sink_; }

 private:
  // Shared with the sinks.
  std::shared_ptr<spdlog::logger> logger_;
  LogSink sink_;
};

// Protobuf has one log for the process, which goes to standard error. From now on it goes to `log`
// instead; what a client's bytes can cause, at debug level, since the client is told. Before any
// thread that uses Protobuf is.
void TakeProtobufLog(LogSink log);

}  // namespace tandem::server
