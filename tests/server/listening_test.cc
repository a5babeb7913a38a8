#include "server/listening.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

// A port of 127.0.0.1 that is listened on for the time of a test.
class TakenPort {
 public:
  TakenPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(fd_, generic, size) == 0);
    REQUIRE(listen(fd_, 1) == 0);
    REQUIRE(getsockname(fd_, generic, &size) == 0);
    number_ = ntohs(address.sin_port);
  }
  ~TakenPort() { close(fd_); }
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;

  uint16_t number() const { return number_; }

 private:
  const int fd_;
  uint16_t number_ = 0;
};

std::string Why(const std::string& address, uint16_t port = 0) {
  return std::string(WhyNotListening(address, port, "grpc-port").message());
}

}  // namespace

TEST_CASE("A taken port is told as taken, with the flag that chooses another", "[listening]") {
  const TakenPort taken;
  const absl::Status why = WhyNotListening("127.0.0.1", taken.number(), "grpc-port");
  CHECK(absl::IsUnavailable(why));
  CHECK(std::string(why.message()) == "port " + std::to_string(taken.number()) +
                                          " of 127.0.0.1 is taken; choose another with "
                                          "--grpc-port");
}

TEST_CASE("An address that this machine does not have is told as that", "[listening]") {
  // Of TEST-NET-1, which nobody has.
  CHECK(absl::IsInvalidArgument(WhyNotListening("192.0.2.1", 0, "grpc-port")));
  CHECK(Why("192.0.2.1").find("this machine has no such address") != std::string::npos);
}

TEST_CASE("A name that is no address is told as that", "[listening]") {
  CHECK(absl::IsInvalidArgument(WhyNotListening("no such name", 0, "grpc-port")));
  CHECK(Why("no such name").find("--address=no such name: no address") == 0);
}

}  // namespace tandem::server
