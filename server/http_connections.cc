#include "server/http_connections.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <tuple>

namespace tandem::server {

HttpConnections::Connection::Connection(HttpConnections& connections, int socket)
    : connections_(connections), socket_(socket) {}

HttpConnections::Connection::~Connection() {
  const absl::MutexLock lock(&connections_.mutex_);
  if (!ended_) return;
  --connections_.ending_;
  // Its thread takes one of them.
  if (connections_.waiting_ > 0) --connections_.waiting_;
}

void HttpConnections::Connection::BeginRequest(TimePoint now) {
  const absl::MutexLock lock(&connections_.mutex_);
  since_ = now;
}

bool HttpConnections::Connection::Wait(Waits what, TimePoint now, TimePoint until) {
  pollfd event{socket_, static_cast<short>(what == Waits::kToRead ? POLLIN : POLLOUT), 0};
  // Usually it can at once.
  if (poll(&event, 1, 0) > 0) return true;
  {
    const absl::MutexLock lock(&connections_.mutex_);
    if (ended_ || connections_.ends_slow_) return false;
    waits_ = what;
    connections_.slow_.insert(this);
    connections_.MakeRoom();
  }
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(std::max(until - now, Duration{0}));
  const bool can = poll(&event, 1, static_cast<int>(left.count())) > 0;
  const absl::MutexLock lock(&connections_.mutex_);
  connections_.slow_.erase(this);
  return can && !ended_;
}

void HttpConnections::OnCrowd(size_t waiting) {
  const absl::MutexLock lock(&mutex_);
  waiting_ = waiting;
  MakeRoom();
}

size_t HttpConnections::slow() const {
  const absl::MutexLock lock(&mutex_);
  return slow_.size();
}

void HttpConnections::MakeRoom() {
  // Whoever reads an answer has sent a request, and goes last.
  const auto earlier = [](const Connection* one, const Connection* other) {
    return std::tie(one->waits_, one->since_) < std::tie(other->waits_, other->since_);
  };
  while (waiting_ > ending_ && !slow_.empty()) {
    const auto slowest = std::min_element(slow_.begin(), slow_.end(), earlier);
    End(**slowest);
    slow_.erase(slowest);
  }
}

void HttpConnections::EndSlow() {
  const absl::MutexLock lock(&mutex_);
  ends_slow_ = true;
  for (Connection* const connection : slow_) End(*connection);
  slow_.clear();
}

void HttpConnections::End(Connection& connection) {
  connection.ended_ = true;
  ++ending_;
  // Wakes its thread.
  shutdown(connection.socket_, SHUT_RDWR);
}

}  // namespace tandem::server
