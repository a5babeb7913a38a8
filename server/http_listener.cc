#include "server/http_listener.h"

#include <sys/socket.h>

#include <utility>

#include "server/http_task_queue.h"
#include "server/listening.h"

namespace tandem::server {
namespace {

// Connections that are served at a time: so many clients that stop in the middle of their requests
// delay nobody.
constexpr size_t kLeastThreads = 8;
constexpr size_t kMostThreads = 1024;
// A client that stops there keeps a thread that long.
constexpr auto kReadTimeout = std::chrono::seconds(1);

}  // namespace

HttpListener::HttpListener(HttpListenerOptions options) : options_(std::move(options)) {
  server_.new_task_queue = [] { return new HttpTaskQueue(kLeastThreads, kMostThreads); };
  server_.set_read_timeout(kReadTimeout);
  server_.set_keep_alive_max_count(options_.calls_per_connection);
  server_.set_keep_alive_timeout(options_.idle_connection.count());
  // The library's default always shares the port with other servers (SO_REUSEPORT).
  server_.set_socket_options([this, shares = options_.shares_port](int fd) {
    socket_ = fd;
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (shares) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
  });
}

HttpListener::~HttpListener() { Stop(); }

absl::Status HttpListener::Start() {
  int port = options_.port;
  bool bound = false;
  if (port == 0) {
    port = server_.bind_to_any_port(options_.address);
    bound = port > 0;
  } else {
    bound = server_.bind_to_port(options_.address, port);
  }
  if (!bound) return WhyNotListening(options_.address, options_.port, options_.port_flag);
  // The library has five wait to be taken, and the system drops more that come at a time.
  listen(socket_, SOMAXCONN);
  port_ = static_cast<uint16_t>(port);
  ended_.store(false);
  thread_ = std::thread([this] {
    server_.listen_after_bind();
    ended_.store(true);
  });
  return absl::OkStatus();
}

void HttpListener::Stop() {
  if (!thread_.joinable()) return;
  // The library forgets a stop that comes before its loop has begun.
  while (!server_.is_running() && !ended_.load()) std::this_thread::yield();
  server_.stop();
  thread_.join();
}

}  // namespace tandem::server
