#include "server/http_listener.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <utility>

#include "server/http_connections.h"
#include "server/http_task_queue.h"
#include "server/listening.h"

namespace tandem::server {

namespace {

// The connection that this thread serves, and whether it ends after the answer.
thread_local int served_socket = -1;
thread_local bool ends_connection = false;

}  // namespace

// The library's routes and protocol. Connections, threads and how long clients may take are ours.
class HttpListener::Server final : public httplib::Server {
 public:
  explicit Server(const HttpListenerOptions& options)
      : times_(options.times),
        least_threads_(options.least_threads),
        most_threads_(options.most_threads) {
    set_keep_alive_max_count(options.calls_per_connection);
    // Which it tells its clients.
    set_keep_alive_timeout(std::chrono::duration_cast<std::chrono::seconds>(times_.idle).count());
  }

  void Start() {
    threads_ = std::make_unique<HttpTaskQueue>(
        least_threads_, most_threads_, [this](size_t waiting) { connections_.OnCrowd(waiting); });
  }

  // Owns the socket. After Start, before Stop.
  void Take(int socket) {
    threads_->enqueue([this, socket] { process_and_close_socket(socket); });
  }

  // Ends connections once they have the answers that they wait for.
  void Stop() {
    stopping_.store(true);
    if (threads_ != nullptr) threads_->shutdown();
    threads_.reset();
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
    served_socket = socket;
    bool served = false;
    for (size_t left = keep_alive_max_count_; left > 0 && !stopping_.load(); --left) {
      if (!stream.AwaitRequest()) break;
      bool closed = false;
      ends_connection = false;
      served = Process(*this, stream, left == 1, closed);
      if (!served || closed || ends_connection) break;
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
  const size_t least_threads_;
  const size_t most_threads_;
  std::atomic<bool> stopping_{false};
  HttpConnections connections_;
  std::unique_ptr<HttpTaskQueue> threads_;
};

HttpListener::HttpListener(HttpListenerOptions options)
    : options_(std::move(options)),
      server_(std::make_unique<Server>(options_)),
      acceptor_([this](int, int connection) { server_->Take(connection); }, options_.connections) {}

HttpListener::~HttpListener() { Stop(); }

void HttpListener::EndConnection() { ends_connection = true; }

bool HttpListener::HasHungUp() {
  pollfd connection = {served_socket, POLLRDHUP, 0};
  return poll(&connection, 1, 0) > 0;
}

httplib::Server& HttpListener::routes() { return *server_; }

absl::Status HttpListener::Start() {
  if (!acceptor_.Listen(options_.address, options_.port, options_.shares_port).ok()) {
    return WhyNotListening(options_.address, options_.port, options_.port_flag);
  }
  server_->Start();
  acceptor_.Start();
  return absl::OkStatus();
}

void HttpListener::StopListening() { acceptor_.Stop(); }

void HttpListener::Stop() {
  StopListening();
  server_->Stop();
}

}  // namespace tandem::server
