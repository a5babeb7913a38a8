#include "server/http_listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>

#include "server/http_connections.h"
#include "server/http_task_queue.h"
#include "server/listening.h"

namespace tandem::server {

// The library's server, but for how long its clients may take.
class HttpListener::Server final : public httplib::Server {
 public:
  explicit Server(const HttpListenerOptions& options) : times_(options.times) {
    new_task_queue = [this, least = options.least_threads, most = options.most_threads] {
      return new HttpTaskQueue(least, most,
                               [this](size_t waiting) { connections_.OnCrowd(waiting); });
    };
    set_keep_alive_max_count(options.calls_per_connection);
    // Which it tells its clients.
    set_keep_alive_timeout(std::chrono::duration_cast<std::chrono::seconds>(times_.idle).count());
  }

 private:
  // As the library's own, which would wait for as long as the client sends a byte from time to
  // time.
  bool process_and_close_socket(socket_t socket) override {
    const bool served = Serve(socket);
    shutdown(socket, SHUT_RDWR);
    close(socket);
    return served;
  }

  bool Serve(socket_t socket) {
    HttpStream stream(connections_, clock_, times_, socket);
    bool served = false;
    for (size_t left = keep_alive_max_count_; left > 0 && svr_sock_ != INVALID_SOCKET; --left) {
      if (!stream.AwaitRequest()) break;
      bool closed = false;
      served = Process(*this, stream, left == 1, closed);
      if (!served || closed) break;
    }
    return served;
  }

  // Later versions of the library want the addresses besides.
  template <typename Self>
  static bool Process(Self& self, httplib::Stream& stream, bool is_last, bool& closed) {
    if constexpr (requires { self.process_request(stream, is_last, closed, nullptr); }) {
      return self.process_request(stream, is_last, closed, nullptr);
    } else {
      return self.process_request(stream, std::string(), 0, std::string(), 0, is_last, closed,
                                  nullptr);
    }
  }

  const SystemClock clock_;
  const HttpTimes times_;
  HttpConnections connections_;
};

HttpListener::HttpListener(HttpListenerOptions options)
    : options_(std::move(options)), server_(std::make_unique<Server>(options_)) {
  // The library's default always shares the port with other servers (SO_REUSEPORT).
  server_->set_socket_options([this, shares = options_.shares_port](int fd) {
    socket_ = fd;
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (shares) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
  });
}

HttpListener::~HttpListener() { Stop(); }

httplib::Server& HttpListener::routes() { return *server_; }

absl::Status HttpListener::Start() {
  int port = options_.port;
  bool bound = false;
  if (port == 0) {
    port = server_->bind_to_any_port(options_.address);
    bound = port > 0;
  } else {
    bound = server_->bind_to_port(options_.address, port);
  }
  if (!bound) return WhyNotListening(options_.address, options_.port, options_.port_flag);
  // The library has five wait to be taken, and the system drops more that come at a time.
  listen(socket_, SOMAXCONN);
  port_ = static_cast<uint16_t>(port);
  ended_.store(false);
  thread_ = std::thread([this] {
    server_->listen_after_bind();
    ended_.store(true);
  });
  return absl::OkStatus();
}

void HttpListener::Stop() {
  if (!thread_.joinable()) return;
  // The library forgets a stop that comes before its loop has begun.
  while (!server_->is_running() && !ended_.load()) std::this_thread::yield();
  server_->stop();
  thread_.join();
}

}  // namespace tandem::server
