// Ports that two servers of one machine listen on for a while, so that the new one takes over from
// the old one and no connection is refused (docs/adr/0007-taking-over-ports.md). All of it is
// looked up in /proc: the libraries that listen do not show their sockets. Free functions,
// thread-safe.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "core/clock.h"
#include "server/front_end.h"

namespace tandem::server {

// Whether the process listens on the port.
bool ListensOn(pid_t process, uint16_t port);
// Sockets of others that listen on the port, at an address where the process does.
size_t OthersBeside(pid_t process, uint16_t port);
// Connections that this process holds on its port.
size_t OwnConnectionsOn(uint16_t port);

// From now on another process of this user may listen on the port, on which this one listens.
absl::Status SharePort(uint16_t port);

// Waits until the port can be shared with who listens on it. UNAVAILABLE after `timeout`.
absl::Status AwaitSharedPort(const std::string& address, uint16_t port, Duration timeout);

// New connections to the port come to this process, which has joined `others` listening sockets.
absl::Status SteerToSelf(uint16_t port, size_t others);

}  // namespace tandem::server
