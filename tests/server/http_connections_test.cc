#include "server/http_connections.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

using Waits = HttpConnections::Waits;

// A connection of a client that does nothing, and the thread that waits for it.
class Idler {
 public:
  // `since`: when it began, in seconds.
  Idler(HttpConnections& connections, Waits what, int since) {
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_.data()) == 0);
    // Until nothing more can be written.
    const std::string some(1 << 16, 'x');
    while (send(sockets_[0], some.data(), some.size(), MSG_DONTWAIT) > 0) continue;
    connection_.emplace(connections, sockets_[0]);
    const TimePoint now = TimePoint{} + std::chrono::seconds(since);
    connection_->BeginRequest(now);
    const size_t before = connections.slow();
    can_ = std::async(std::launch::async, [this, what, now] {
      return connection_->Wait(what, now, now + std::chrono::hours(1));
    });
    while (connections.slow() == before) std::this_thread::yield();
  }
  ~Idler() {
    for (const int socket : sockets_) close(socket);
  }
  Idler(const Idler&) = delete;
  Idler& operator=(const Idler&) = delete;

  bool waits() const { return can_.wait_for(Duration{0}) == std::future_status::timeout; }
  // Its wait has ended; whether there was something.
  bool Can() { return can_.get(); }
  void WriteFromOtherSide() { REQUIRE(send(sockets_[1], "x", 1, 0) == 1); }
  void Leave() { connection_.reset(); }

 private:
  std::array<int, 2> sockets_{};
  std::optional<HttpConnections::Connection> connection_;
  std::future<bool> can_;
};

}  // namespace

TEST_CASE("In a crowd, whoever has been slow for longest makes room, readers of answers last",
          "[http]") {
  HttpConnections connections;
  Idler answered(connections, Waits::kToWrite, 1);
  Idler late(connections, Waits::kToRead, 3);
  Idler early(connections, Waits::kToRead, 2);
  connections.OnCrowd(1);
  CHECK(!early.Can());
  CHECK(connections.slow() == 2);
  // The one that ended makes the room.
  connections.OnCrowd(1);
  CHECK(connections.slow() == 2);
  early.Leave();
  connections.OnCrowd(0);
  connections.OnCrowd(1);
  CHECK(!late.Can());
  CHECK(answered.waits());
  connections.OnCrowd(2);
  CHECK(!answered.Can());
  CHECK(connections.slow() == 0);
}

TEST_CASE("Without a crowd, slow clients are waited for", "[http]") {
  HttpConnections connections;
  Idler one(connections, Waits::kToRead, 1);
  connections.OnCrowd(0);
  CHECK(one.waits());
  one.WriteFromOtherSide();
  CHECK(one.Can());
  CHECK(connections.slow() == 0);
}

TEST_CASE("Whoever begins to wait in a crowd makes room, if nobody does yet", "[http]") {
  HttpConnections connections;
  connections.OnCrowd(1);
  std::array<int, 2> sockets{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()) == 0);
  {
    HttpConnections::Connection connection(connections, sockets[0]);
    const TimePoint now{};
    CHECK(!connection.Wait(Waits::kToRead, now, now + std::chrono::hours(1)));
  }
  for (const int socket : sockets) close(socket);
}

TEST_CASE("At the end no connection waits for its client any more", "[http]") {
  HttpConnections connections;
  Idler reads(connections, Waits::kToRead, 1);
  Idler writes(connections, Waits::kToWrite, 2);
  connections.EndSlow();
  CHECK_FALSE(reads.Can());
  CHECK_FALSE(writes.Can());
  std::array<int, 2> pair{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) == 0);
  {
    HttpConnections::Connection later(connections, pair[0]);
    CHECK_FALSE(later.Wait(Waits::kToRead, TimePoint{}, TimePoint{} + std::chrono::hours(1)));
  }
  for (const int socket : pair) close(socket);
}

}  // namespace tandem::server
