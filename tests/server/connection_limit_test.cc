#include "server/connection_limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/descriptor_limit.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr int kPatienceMs = 60'000;

// Both ends of a connection over TCP.
class Pair {
 public:
  Pair() {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(listener, any, size) == 0);
    REQUIRE(listen(listener, 1) == 0);
    REQUIRE(getsockname(listener, any, &size) == 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(connect(client, any, size) == 0);
    server = accept(listener, nullptr, nullptr);
    REQUIRE(server >= 0);
    close(listener);
  }
  ~Pair() {
    close(client);
    if (server >= 0) close(server);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  // As whoever serves it does.
  void Close() { close(std::exchange(server, -1)); }

  // The server's side has been shut down.
  bool AwaitEnd() const {
    pollfd event{server, POLLIN, 0};
    char byte = 0;
    return poll(&event, 1, kPatienceMs) == 1 && recv(server, &byte, 1, MSG_PEEK) == 0;
  }
  bool IsOpen() const {
    pollfd event{client, POLLIN, 0};
    return poll(&event, 1, 0) == 0;
  }

  int client = -1;
  int server = -1;
};

// Tries until it comes true: the system counts the silence of connections.
bool Await(const std::function<bool()>& what) {
  for (int ms = 0; ms < kPatienceMs; ms += 10) {
    if (what()) return true;
    poll(nullptr, 0, 10);
  }
  return false;
}

struct Log {
  std::vector<std::string> lines;
  LogSink sink() {
    return [this](LogLevel, const std::string& line) { lines.push_back(line); };
  }
};

}  // namespace

TEST_CASE("There is room below the limit, and again when a connection was closed",
          "[connection_limit]") {
  const SystemClock clock;
  Log log;
  ConnectionLimit limit(2, clock, log.sink());
  Pair first, second;
  CHECK(limit.MakeRoom());
  limit.Add(first.server);
  CHECK(limit.MakeRoom());
  limit.Add(second.server);
  CHECK(limit.open() == 2);
  // Both have only just come.
  CHECK_FALSE(limit.MakeRoom());
  CHECK(second.IsOpen());
  first.Close();
  CHECK(limit.MakeRoom());
  CHECK(limit.open() == 1);
  CHECK(limit.shut_down() == 0);
}

TEST_CASE("Where there is no room, the connection goes that has never asked for anything",
          "[connection_limit]") {
  const SystemClock clock;
  Log log;
  ConnectionLimit limit(2, clock, log.sink());
  Pair asks, silent;
  limit.Add(asks.server);
  const std::string request(1000, 'x');
  REQUIRE(send(asks.client, request.data(), request.size(), 0) == 1000);
  limit.Add(silent.server);
  REQUIRE(Await([&] {
    CHECK_FALSE(limit.MakeRoom());
    return limit.shut_down() > 0;
  }));
  CHECK(silent.AwaitEnd());
  CHECK(asks.IsOpen());
  // Not twice, and not the other in its place, while it is not closed yet.
  CHECK_FALSE(limit.MakeRoom());
  CHECK(limit.shut_down() == 1);
  silent.Close();
  CHECK(limit.MakeRoom());
  // Once a minute.
  REQUIRE(log.lines.size() == 1);
  CHECK(log.lines[0].find("--max-connections") != std::string::npos);
}

TEST_CASE("Descriptors are left for the workers", "[connection_limit]") {
  CHECK(MostConnections(1024, 2, 5, 1) == 1024 - 64 - 64 - 10 - 4);
  CHECK(MostConnections(50, 2, 0, 1) == 1);
}

}  // namespace tandem::server
