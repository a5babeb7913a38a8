#include "server/port_sharing.h"

#include <linux/filter.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/folder.h"

namespace tandem::server {
namespace {

namespace fs = std::filesystem;

constexpr auto kSharePoll = std::chrono::milliseconds(5);

// As /proc/net/tcp has them.
constexpr char kConnected[] = "01";
constexpr char kListening[] = "0A";

// The TCP sockets on the local port that are in that state: inode → local address.
std::map<uint64_t, std::string> SocketsOn(uint16_t port, const std::string& state) {
  const std::string ending = absl::StrFormat(":%04X", port);
  std::map<uint64_t, std::string> sockets;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream stream(table);
    for (std::string line; std::getline(stream, line);) {
      std::istringstream words(line);
      std::string number, local, remote, is, queues, timer, again, user, timeout;
      uint64_t inode = 0;
      words >> number >> local >> remote >> is >> queues >> timer >> again >> user >> timeout >>
          inode;
      if (words && is == state && absl::EndsWith(local, ending)) sockets[inode] = local;
    }
  }
  return sockets;
}

// Descriptors of a process that are sockets, with their inodes.
struct Socket {
  int fd = -1;
  uint64_t inode = 0;
};
std::vector<Socket> SocketsOf(const std::string& process) {
  std::vector<Socket> sockets;
  const fs::path folder = "/proc/" + process + "/fd";
  // The process may end meanwhile.
  const auto names = ListFolder(folder);
  if (!names.ok()) return sockets;
  for (const std::string& name : *names) {
    std::error_code error;
    const std::string target = fs::read_symlink(folder / name, error).string();
    absl::string_view text = target;
    Socket socket;
    if (absl::ConsumePrefix(&text, "socket:[") && absl::ConsumeSuffix(&text, "]") &&
        absl::SimpleAtoi(text, &socket.inode) && absl::SimpleAtoi(name, &socket.fd)) {
      sockets.push_back(socket);
    }
  }
  return sockets;
}

std::vector<int> Own(uint16_t port, const std::string& state, const std::string& process = "self") {
  const std::map<uint64_t, std::string> on_port = SocketsOn(port, state);
  std::vector<int> fds;
  for (const Socket& socket : SocketsOf(process)) {
    if (on_port.count(socket.inode) > 0) fds.push_back(socket.fd);
  }
  return fds;
}

absl::Status Failed(uint16_t port, const char* what) {
  return absl::UnavailableError(
      absl::StrCat("port ", port, " ", what, ": ", strerrordesc_np(errno)));
}

// Whether a socket that shares the port could be bound to it. It does not listen: nobody connects.
bool CanShare(const addrinfo& address) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, address.ai_protocol);
  if (fd < 0) return false;
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
  const bool bound = bind(fd, address.ai_addr, address.ai_addrlen) == 0;
  close(fd);
  return bound;
}

}  // namespace

bool ListensOn(pid_t process, uint16_t port) {
  return !Own(port, kListening, absl::StrCat(process)).empty();
}

size_t OthersBeside(pid_t process, uint16_t port) {
  std::map<uint64_t, std::string> others = SocketsOn(port, kListening);
  std::set<std::string> addresses;
  for (const Socket& socket : SocketsOf(absl::StrCat(process))) {
    const auto own = others.find(socket.inode);
    if (own == others.end()) continue;
    addresses.insert(own->second);
    others.erase(own);
  }
  return static_cast<size_t>(
      std::count_if(others.begin(), others.end(),
                    [&addresses](const auto& other) { return addresses.count(other.second) > 0; }));
}

size_t OwnConnectionsOn(uint16_t port) { return Own(port, kConnected).size(); }

absl::Status SharePort(uint16_t port) {
  const int yes = 1;
  for (const int fd : Own(port, kListening)) {
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) != 0) {
      return Failed(port, "cannot be shared");
    }
  }
  return absl::OkStatus();
}

absl::Status AwaitSharedPort(const std::string& address, uint16_t port, Duration timeout) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), absl::StrCat(port).c_str(), &hints, &found) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("no address has the name ", address));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> freed(found, &freeaddrinfo);
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (!CanShare(*found)) {
    if (std::chrono::steady_clock::now() >= end) {
      return absl::UnavailableError(
          absl::StrCat("port ", port,
                       " is not shared by the server that listens on it; do both servers belong "
                       "to one user, with one --address?"));
    }
    std::this_thread::sleep_for(kSharePoll);
  }
  return absl::OkStatus();
}

// The sockets of a shared port are numbered in the order in which they joined, and a program picks
// the one for a new connection by its number. Once the others have gone the number is nobody's, and
// the kernel spreads the connections over those that are left.
absl::Status SteerToSelf(uint16_t port, size_t others) {
  sock_filter pick = {BPF_RET | BPF_K, 0, 0, static_cast<uint32_t>(others)};
  const sock_fprog program = {1, &pick};
  const std::vector<int> own = Own(port, kListening);
  if (own.empty()) return absl::InternalError(absl::StrCat("nothing listens on port ", port));
  if (setsockopt(own.front(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) !=
      0) {
    return Failed(port, "cannot be steered");
  }
  return absl::OkStatus();
}

}  // namespace tandem::server
