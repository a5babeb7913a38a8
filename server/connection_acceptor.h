// Listens on a port and hands on the connections that come. gRPC and the HTTP library could do that
// themselves, but gRPC's listener takes no connection any more once the process has been without a
// descriptor for a moment, and neither can leave its port while it serves. This one waits until
// there is a descriptor again, and loses no connection when it stops.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"

namespace tandem::server {

class ConnectionLimit;

class ConnectionAcceptor {
 public:
  // `take` owns the connection that it is given; called on the acceptor's thread.
  // Takes none beyond `connections`, which is borrowed and outlives it; nullptr: as many as come.
  ConnectionAcceptor(std::function<void(int listener, int connection)> take,
                     ConnectionLimit* connections);
  // Stops.
  ~ConnectionAcceptor();
  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  // Takes the port; 0: a free one. 0.0.0.0 and :: are all addresses of both kinds, where the
  // machine has both. UNAVAILABLE where it cannot be had (listening.h tells why).
  absl::Status Listen(const std::string& address, uint16_t port, bool shares_port);
  uint16_t port() const { return port_; }

  // After Listen: takes connections from now on, also those that came meanwhile.
  void Start();
  // Takes those that wait to be taken, then none any more, and leaves the port. Idempotent.
  void Stop();

 private:
  void Loop();
  // False where there is none, or it cannot be taken: errno tells why.
  bool TakeOne();
  bool AwaitStop(int milliseconds) const;

  const std::function<void(int, int)> take_;
  ConnectionLimit* const connections_;
  int listener_ = -1;
  // Readable once it is to stop.
  int stop_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace tandem::server
