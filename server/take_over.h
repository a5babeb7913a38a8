// One server takes the ports over from another, and no request is dropped: the two sides of it. The
// new one loads its models first, then joins the ports, has new connections come to itself, and
// asks the old one to end; that one leaves the ports, and serves the connections that it has until
// they have moved. No third server joins before it has left.
// Signals carry the word: SIGUSR2, "share your ports", and SIGTERM. By one thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/log.h"
#include "server/front_end.h"

namespace tandem::server {

struct RunningServer {
  pid_t process = 0;
  Ports ports;
};

// Reads the port file of a server. INVALID_ARGUMENT, one line: there is no such file, or no server
// behind it.
absl::StatusOr<RunningServer> FindRunningServer(const std::string& port_file);

// The new side. Asks the old server to share its ports; then `listen` starts listening on them.
absl::Status TakePorts(const RunningServer& old, const std::string& address,
                       const std::function<absl::Status()>& listen, const LogSink& log);
// The old server is to end.
void Dismiss(const RunningServer& old);

// The old side.
absl::Status SharePorts(const Ports& ports);
// Another server listens on the ports too.
bool AreTakenOver(const Ports& ports);
// Has the ports left by `stop_listening` once no new connection comes. Returns when none is left
// either, when `longest` has passed since, or when `is_over` says so, which waits as long as it is
// told.
void ServeOut(const Ports& ports, Duration longest, const std::function<void()>& stop_listening,
              const std::function<bool(Duration)>& is_over);

}  // namespace tandem::server
