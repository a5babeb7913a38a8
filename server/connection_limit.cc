#include "server/connection_limit.h"

// Not netinet/tcp.h, whose tcp_info ends before the bytes that were received.
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

// gRPC's least request is longer: HTTP/2's greeting and settings alone take 33.
constexpr uint64_t kLeastRequest = 100;
// A connection without a request may be shut down when it has said nothing for a second, another
// one when its client has had no need of it for a while.
constexpr Duration kSilentNewcomer = std::chrono::seconds(1);
constexpr Duration kSilentClient = std::chrono::seconds(10);
// Of all connections: what is shut down at a time, so that many newcomers need not look often.
constexpr size_t kShare = 16;
constexpr Duration kTell = std::chrono::minutes(1);

// 0 where it is no descriptor of a socket.
ino_t InodeOf(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

// How good it is to shut the connection down: less is better. Nothing where it is not idle.
using IdleRank = std::pair<bool, Duration>;
std::optional<IdleRank> RankIfIdle(int socket) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  const bool has_asked = info.tcpi_bytes_received >= kLeastRequest;
  const Duration silent = std::chrono::milliseconds(info.tcpi_last_data_recv);
  if (silent < (has_asked ? kSilentClient : kSilentNewcomer)) return std::nullopt;
  return IdleRank{has_asked, -silent};
}

}  // namespace

ConnectionLimit::ConnectionLimit(size_t most, const Clock& clock, LogSink log)
    : most_(most),
      clock_(clock),
      log_(std::move(log)),
      nothing_(eventfd(0, EFD_CLOEXEC)),
      held_(eventfd(0, EFD_CLOEXEC)) {}

ConnectionLimit::~ConnectionLimit() {
  close(nothing_);
  close(held_);
}

bool ConnectionLimit::MakeRoom() {
  const absl::MutexLock lock(&mutex_);
  if (connections_.size() < most_) return true;
  ForgetClosed();
  if (connections_.size() < most_) return true;
  ShutDownIdle();
  return false;
}

void ConnectionLimit::Add(int socket) {
  const absl::MutexLock lock(&mutex_);
  connections_.push_back({socket, InodeOf(socket), false});
}

size_t ConnectionLimit::open() {
  const absl::MutexLock lock(&mutex_);
  ForgetClosed();
  return connections_.size();
}

uint64_t ConnectionLimit::shut_down() const {
  const absl::MutexLock lock(&mutex_);
  return shut_down_;
}

void ConnectionLimit::ForgetClosed() {
  connections_.remove_if([](const Connection& one) { return InodeOf(one.socket) != one.inode; });
}

void ConnectionLimit::ShutDownIdle() {
  std::vector<std::pair<IdleRank, Connection*>> idle;
  for (Connection& connection : connections_) {
    if (connection.is_shut_down) continue;
    const std::optional<IdleRank> rank = RankIfIdle(connection.socket);
    if (rank.has_value()) idle.emplace_back(*rank, &connection);
  }
  std::sort(idle.begin(), idle.end());
  idle.resize(std::min(idle.size(), 1 + most_ / kShare));
  for (const auto& [rank, connection] : idle) {
    if (ShutDown(*connection)) ++shut_down_;
  }
  if (clock_.Now() < tell_at_) return;
  tell_at_ = clock_.Now() + kTell;
  log_(LogLevel::kWarning,
       absl::StrCat("there are ", most_, " connections, as many as may be (--max-connections, the ",
                    "limit of descriptors); idle ones are closed for new ones, ", shut_down_,
                    " so far, and new ones wait where none is idle"));
}

bool ConnectionLimit::ShutDown(Connection& connection) {
  if (dup3(connection.socket, held_, O_CLOEXEC) < 0) return false;
  const bool is_it = InodeOf(held_) == connection.inode;
  if (is_it) shutdown(held_, SHUT_RDWR);
  dup3(nothing_, held_, O_CLOEXEC);
  connection.is_shut_down = is_it;
  return is_it;
}

}  // namespace tandem::server
