// One connection of an HTTP port, as httplib reads and writes it. The library bounds the time of
// each read; this bounds that of a whole request, and of a whole answer, so that no client keeps a
// thread by sending a byte from time to time. Not thread-safe.
#pragma once

#include <httplib.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

#include "core/clock.h"
#include "server/http_connections.h"

namespace tandem::server {

// How long a client may take.
struct HttpTimes {
  // Between two requests of a connection.
  Duration idle = std::chrono::seconds(1);
  // To send the next byte of a request, and to send all of it.
  Duration read = std::chrono::seconds(1);
  Duration request = std::chrono::seconds(10);
  // The same of taking an answer.
  Duration write = std::chrono::seconds(5);
  Duration answer = std::chrono::minutes(1);
};

class HttpStream final : public httplib::Stream {
 public:
  // Borrows all, which outlive it; the socket is the caller's to close.
  HttpStream(HttpConnections& connections, const Clock& clock, const HttpTimes& times, int socket);

  // Waits for the next request. False where none comes.
  bool AwaitRequest();

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  // The routes ask for neither.
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return connection_.socket(); }

 private:
  bool Wait(HttpConnections::Waits what, TimePoint until) const;

  const Clock& clock_;
  const HttpTimes times_;
  mutable HttpConnections::Connection connection_;
  // When the request must be there, and its answer taken.
  TimePoint read_until_ = kNever;
  TimePoint written_until_ = kNever;
  bool answering_ = false;
  // What was received and not yet read: of the buffer, from `begin_` to `end_`.
  std::array<char, 4096> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace tandem::server
