// A port with an HTTP server on it: what the protocol over HTTP and the metrics have in common. It
// reads no more of a request than it may have, ends a connection on which it cannot tell where the
// next request begins, and refuses with a sentence of JSON what is no request to a route.
// Routes are added before Start; Start and Stop by one thread. Handlers run on the listener's own
// threads, never after Stop.
#pragma once

#include <httplib.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/clock.h"
#include "server/connection_acceptor.h"
#include "server/http_stream.h"

namespace tandem::server {

struct HttpListenerOptions {
  std::string address = "0.0.0.0";
  // 0: a free one.
  uint16_t port = 0;
  // The setting of the port, for messages, as in "http-port".
  const char* port_flag = "";
  // What is said of a path that is not here.
  const char* what_is_here = "";
  // Bytes of a request's body. 0: no request has one.
  uint64_t largest_body = 0;
  // Bytes of all bodies at a time.
  uint64_t most_body_bytes = 0;
  // Calls of one connection; then it is closed.
  size_t calls_per_connection = 1;
  // What clients delay Stop by, at most.
  HttpTimes times;
  // Connections that are served at a time, each by a thread: so many clients that stop in the
  // middle of their requests delay nobody. Those beyond take the places of the slowest ones.
  size_t least_threads = 8;
  size_t most_threads = 1024;
  // Another server listens on the port too, for the time of a take-over.
  bool shares_port = false;
  // See ConnectionAcceptor.
  ConnectionLimit* connections = nullptr;
};

class HttpListener {
 public:
  explicit HttpListener(HttpListenerOptions options);
  // Stops.
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  httplib::Server& routes();

  // For a handler: the client whose call it answers sends no more, so that it has most likely gone.
  static bool HasHungUp();
  // For a handler: keeps it until its answer has been written.
  static void KeepUntilWritten(std::shared_ptr<const void> kept);

  // Takes the port and answers on it. See WhyNotListening for its errors.
  absl::Status Start();

  // Takes no more connections, and leaves the port. Those that are there are served on. Idempotent.
  void StopListening();
  // Returns when the last answer has gone. Clients that have not taken theirs by the end of the
  // grace lose it. Idempotent.
  void Stop(Duration grace);

  uint16_t port() const { return acceptor_.port(); }

 private:
  class Server;

  const HttpListenerOptions options_;
  const std::unique_ptr<Server> server_;
  ConnectionAcceptor acceptor_;
};

}  // namespace tandem::server
