#include "server/http_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace tandem::server {

using Waits = HttpConnections::Waits;

// Memory is taken in steps, so that it is seldom asked for.
constexpr uint64_t kStep = uint64_t{64} << 10;
constexpr uint64_t kMostPassedOver = uint64_t{32} << 20;
constexpr std::chrono::seconds kLongestPassingOver(1);

HttpStream::HttpStream(HttpConnections& connections, MemoryBudget& bodies, const Clock& clock,
                       const HttpTimes& times, int socket)
    : clock_(clock), times_(times), connection_(connections, socket), share_(bodies) {}

bool HttpStream::AwaitRequest() {
  const TimePoint now = clock_.Now();
  answering_ = false;
  share_.GiveBack();
  kept_.reset();
  left_ = room_ = kMostHeadBytes;
  connection_.BeginRequest(now);
  if (begin_ == end_ && !connection_.Wait(Waits::kToRead, now, now + times_.idle)) return false;
  read_until_ = clock_.Now() + times_.request;
  return true;
}

bool HttpStream::is_readable() const { return begin_ < end_ || Wait(Waits::kToRead, read_until_); }

bool HttpStream::is_writable() const {
  return Wait(Waits::kToWrite, answering_ ? written_until_ : kNever);
}

bool HttpStream::Wait(Waits what, TimePoint until) const {
  const TimePoint now = clock_.Now();
  const Duration step = what == Waits::kToRead ? times_.read : times_.write;
  return now < until && connection_.Wait(what, now, std::min(until, now + step));
}

void HttpStream::ExpectBody(uint64_t bytes, bool told) {
  // One more, so that 0 left tells that there was more.
  left_ = bytes + 1;
  room_ = told ? left_ : 0;
  if (told && bytes > 0) is_refused_ = !share_.TryTake(left_);
  // What was written until now asked for the body.
  answering_ = false;
}

void HttpStream::PassOverRest() {
  shutdown(socket(), SHUT_WR);
  const TimePoint until = clock_.Now() + kLongestPassingOver;
  for (uint64_t passed = 0; passed < kMostPassedOver;) {
    const TimePoint now = clock_.Now();
    if (now >= until || !connection_.Wait(Waits::kToRead, now, until)) return;
    const ssize_t received = recv(socket(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (received <= 0) return;
    passed += static_cast<uint64_t>(received);
  }
}

bool HttpStream::HasRoom(uint64_t bytes) {
  if (room_ < bytes) {
    const uint64_t step = std::min(kStep, left_);
    if (!share_.TryTake(step)) {
      is_refused_ = true;
      return false;
    }
    room_ += step;
  }
  room_ -= bytes;
  return true;
}

bool HttpStream::HasHungUp() const {
  pollfd connection = {socket(), POLLRDHUP, 0};
  return poll(&connection, 1, 0) > 0;
}

ssize_t HttpStream::read(char* to, size_t size) {
  if (is_too_long() || is_refused()) return -1;
  if (begin_ == end_) {
    if (!is_readable()) return -1;
    const ssize_t received = recv(socket(), buffer_.data(), buffer_.size(), 0);
    if (received <= 0) return received;
    begin_ = 0;
    end_ = static_cast<size_t>(received);
  }
  const size_t taken = std::min({size, end_ - begin_, static_cast<size_t>(left_)});
  if (!HasRoom(taken)) return -1;
  left_ -= taken;
  std::copy_n(buffer_.data() + begin_, taken, to);
  begin_ += taken;
  return static_cast<ssize_t>(taken);
}

ssize_t HttpStream::write(const char* from, size_t size) {
  if (!answering_) {
    answering_ = true;
    written_until_ = clock_.Now() + times_.answer;
  }
  if (!is_writable()) return -1;
  // As much as there is room for, since the bounds are for waits above.
  const ssize_t sent = send(socket(), from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 && errno == EAGAIN ? 0 : sent;
}

}  // namespace tandem::server
