#include "server/connection_acceptor.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/connection_limit.h"

namespace tandem::server {
namespace {

// Between two tries while descriptors or memory are short, or connections are many.
constexpr int kShortageMs = 20;

// Listens, or -1.
int TryListen(const addrinfo& address, bool shares_port) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int yes = 1;
  const int no = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (shares_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
  if (address.ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
  if (bind(fd, address.ai_addr, address.ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
  close(fd);
  return -1;
}

uint16_t PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

ConnectionAcceptor::ConnectionAcceptor(std::function<void(int, int)> take,
                                       ConnectionLimit* connections)
    : take_(std::move(take)), connections_(connections) {}

ConnectionAcceptor::~ConnectionAcceptor() { Stop(); }

absl::Status ConnectionAcceptor::Listen(const std::string& address, uint16_t port,
                                        bool shares_port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  const std::string service = absl::StrCat(port);
  // All addresses of both kinds first, then as it was said.
  const bool any = address == "0.0.0.0" || address == "::" || address == "[::]";
  for (const char* host : {any ? "::" : address.c_str(), address.c_str()}) {
    addrinfo* found = nullptr;
    if (getaddrinfo(host, service.c_str(), &hints, &found) != 0) continue;
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> freed(found, &freeaddrinfo);
    for (const addrinfo* each = found; each != nullptr && listener_ < 0; each = each->ai_next) {
      listener_ = TryListen(*each, shares_port);
    }
    if (listener_ >= 0) break;
  }
  stop_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (listener_ < 0 || stop_ < 0) {
    Stop();
    return absl::UnavailableError("the port cannot be listened on");
  }
  port_ = PortOf(listener_);
  return absl::OkStatus();
}

void ConnectionAcceptor::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void ConnectionAcceptor::Stop() {
  if (thread_.joinable()) {
    const uint64_t ring = 1;
    [[maybe_unused]] const ssize_t written = write(stop_, &ring, sizeof(ring));
    thread_.join();
  }
  for (int* fd : {&listener_, &stop_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
}

void ConnectionAcceptor::Loop() {
  pthread_setname_np(pthread_self(), "acceptor");
  while (true) {
    pollfd polled[] = {{stop_, POLLIN, 0}, {listener_, POLLIN, 0}};
    poll(polled, 2, -1);
    if (polled[0].revents != 0) break;
    if (connections_ != nullptr && !connections_->MakeRoom()) {
      if (AwaitStop(kShortageMs)) break;
      continue;
    }
    if (TakeOne()) continue;
    // Whoever waits to be taken waits on; a connection that broke meanwhile is of no interest.
    const bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    if (is_short && AwaitStop(kShortageMs)) break;
  }
  // The system resets what waits when the listener is closed. No more than could wait, since others
  // may come all the time.
  for (int i = 0; i < SOMAXCONN && TakeOne(); ++i) {
  }
}

bool ConnectionAcceptor::TakeOne() {
  const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return false;
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  if (connections_ != nullptr) connections_->Add(fd);
  take_(listener_, fd);
  return true;
}

bool ConnectionAcceptor::AwaitStop(int milliseconds) const {
  pollfd polled = {stop_, POLLIN, 0};
  return poll(&polled, 1, milliseconds) > 0;
}

}  // namespace tandem::server
