#include "server/listening.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

// Listens once, as the libraries do, and stops again. 0, or the system's error.
int TryListening(const addrinfo& address) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, address.ai_protocol);
  if (fd < 0) return errno;
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  const bool listens =
      bind(fd, address.ai_addr, address.ai_addrlen) == 0 && listen(fd, /*backlog=*/1) == 0;
  const int error = listens ? 0 : errno;
  close(fd);
  return error;
}

}  // namespace

absl::Status WhyNotListening(const std::string& address, uint16_t port,
                             absl::string_view port_flag) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int unknown = getaddrinfo(address.c_str(), absl::StrCat(port).c_str(), &hints, &found);
  if (unknown != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--address=", address, ": no address has that name (", gai_strerror(unknown),
                     "); expected one of this machine, such as 0.0.0.0 or 127.0.0.1"));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> freed(found, &freeaddrinfo);
  switch (TryListening(*found)) {
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return absl::InvalidArgumentError(
          absl::StrCat("--address=", address,
                       ": this machine has no such address; expected one of its own, or 0.0.0.0 "
                       "for all of them"));
    case EADDRINUSE:
      return absl::UnavailableError(absl::StrCat("port ", port, " of ", address,
                                                 " is taken; choose another with --", port_flag));
    case EACCES:
    case EPERM:
      return absl::UnavailableError(absl::StrCat("port ", port, " of ", address,
                                                 " is not for this user to listen on; choose one "
                                                 "from 1024 on with --",
                                                 port_flag));
    default:
      return absl::UnavailableError(absl::StrCat("port ", port, " of ", address,
                                                 " cannot be listened on; choose another with --",
                                                 port_flag));
  }
}

}  // namespace tandem::server
