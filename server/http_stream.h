// One connection of an HTTP port, as httplib reads and writes it. The library bounds the time of
// each read, and little of what it reads; this bounds the time and the bytes of a whole request,
// and the time of a whole answer, so that no client keeps a thread by sending a byte from time to
// time, or takes memory by sending many. Not thread-safe.
#pragma once

#include <httplib.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "core/clock.h"
#include "server/http_connections.h"
#include "server/memory_budget.h"

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
  // Borrows all, which outlive it; the socket is the caller's to close. `bodies`: what the bodies
  // of all requests may take.
  HttpStream(HttpConnections& connections, MemoryBudget& bodies, const Clock& clock,
             const HttpTimes& times, int socket);

  // Bytes of a request's first line and headers.
  static constexpr uint64_t kMostHeadBytes = uint64_t{16} << 10;

  // Waits for the next request. False where none comes.
  bool AwaitRequest();

  // The head has come, and a body of so many bytes at most is to follow. One that has told its
  // length has memory for all of it at once, or is refused: parts of many would be of use to none.
  void ExpectBody(uint64_t bytes, bool told);
  // The request had more bytes than its head may have, or its body was to have, or than there was
  // memory for. No more of it is read.
  bool is_too_long() const { return left_ == 0; }
  bool is_refused() const { return is_refused_; }

  // After the last answer, to what was not read to its end: to close the connection at once would
  // take the answer from a client that sends still. Not for long, nor very much.
  void PassOverRest();

  // The client sends no more, so that it has most likely gone.
  bool HasHungUp() const;

  // Keeps it until the answer has been written.
  void Keep(std::shared_ptr<const void> kept) { kept_ = std::move(kept); }

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
  // Has memory for so many bytes more.
  bool HasRoom(uint64_t bytes);

  const Clock& clock_;
  const HttpTimes times_;
  mutable HttpConnections::Connection connection_;
  // When the request must be there, and its answer taken.
  TimePoint read_until_ = kNever;
  TimePoint written_until_ = kNever;
  bool answering_ = false;
  // Bytes that the request may still have.
  uint64_t left_ = kMostHeadBytes;
  // Of the memory for bodies, until the next request; and how much of it is not used yet.
  MemoryBudget::Share share_;
  uint64_t room_ = 0;
  bool is_refused_ = false;
  std::shared_ptr<const void> kept_;
  // What was received and not yet read: of the buffer, from `begin_` to `end_`.
  std::array<char, 4096> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace tandem::server
