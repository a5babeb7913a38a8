#include "server/http_listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "router/quoted.h"
#include "server/http_connections.h"
#include "server/http_framing.h"
#include "server/http_reply.h"
#include "server/http_task_queue.h"
#include "server/listening.h"
#include "server/memory_budget.h"

namespace tandem::server {

namespace {

// The connection that this thread serves, and whether it ends after the answer.
thread_local HttpStream* served_stream = nullptr;
thread_local bool ends_connection = false;

}  // namespace

// The library's routes and protocol. Connections, threads and how long clients may take are ours.
class HttpListener::Server final : public httplib::Server {
 public:
  explicit Server(const HttpListenerOptions& options)
      : options_(options), bodies_(options.most_body_bytes) {
    set_keep_alive_max_count(options.calls_per_connection);
    // Which it tells its clients.
    set_keep_alive_timeout(
        std::chrono::duration_cast<std::chrono::seconds>(options_.times.idle).count());
    set_payload_max_length(options_.largest_body);
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      PassOverRanges(request);
      return Admit(request, &response) ? HandlerResponse::Unhandled : HandlerResponse::Handled;
    });
    set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
      PassOverRanges(request);
      Explain(request, &response);
    });
  }

  void Start() {
    threads_ =
        std::make_unique<HttpTaskQueue>(options_.least_threads, options_.most_threads,
                                        [this](size_t waiting) { connections_.OnCrowd(waiting); });
  }

  // Owns the socket. After Start, before Stop.
  void Take(int socket) {
    threads_->enqueue([this, socket] { process_and_close_socket(socket); });
  }

  // Ends connections once they have the answers that they wait for.
  void Stop(Duration grace) {
    stopping_.store(true);
    if (threads_ != nullptr) threads_->shutdown(grace, [this] { connections_.EndSlow(); });
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
    HttpStream stream(connections_, bodies_, clock_, options_.times, socket);
    served_stream = &stream;
    ends_connection = false;
    bool served = false;
    for (size_t left = keep_alive_max_count_; left > 0 && !stopping_.load(); --left) {
      if (!stream.AwaitRequest()) break;
      bool closed = false;
      served = Process(*this, stream, left == 1, closed);
      if (!served || closed || ends_connection || stream.is_too_long()) break;
    }
    if (ends_connection) stream.PassOverRest();
    return served;
  }

  // The library would cut answers by them, which are no files, and repeat an answer a thousand
  // times where they ask for it. It hands its own request out, and gives no other way.
  static void PassOverRanges(const httplib::Request& request) {
    const_cast<httplib::Request&>(request).ranges.clear();
  }

  // The head of a request has come: whether its body is to be read.
  bool Admit(const httplib::Request& request, httplib::Response* response) {
    const absl::StatusOr<uint64_t> bytes = BodyBytes(request, options_.largest_body);
    if (!bytes.ok()) {
      Reply(bytes.status(), response);
      EndConnection(response);
      return false;
    }
    // Little of it may become very much.
    const std::string encoding = request.get_header_value("Content-Encoding");
    if (*bytes > 0 && !encoding.empty() && !absl::EqualsIgnoreCase(encoding, "identity")) {
      response->status = 415;
      return false;
    }
    // The library refuses what is more, and must not read it first.
    const bool told = !request.has_header("Transfer-Encoding");
    if (*bytes <= options_.largest_body) served_stream->ExpectBody(*bytes, told);
    return true;
  }

  // What the library refuses it refuses without a word, and without having read it to its end but
  // for paths that are not there.
  void Explain(const httplib::Request& request, httplib::Response* response) {
    const int code = response->status;
    if (code < 400 || code >= 500 || !response->body.empty()) return;
    if (code == 404) {
      return ReplyError(404,
                        absl::StrCat("there is no ", request.method, " of ", Quoted(request.path),
                                     " here; ", options_.what_is_here),
                        response);
    }
    EndConnection(response);
    if (served_stream->is_refused()) {
      return Reply(absl::ResourceExhaustedError(
                       "requests over HTTP have all the memory that they may take together "
                       "(--max-network-bytes); try again later, or use gRPC"),
                   response);
    }
    // The library takes less of a form.
    if (code == 413 && absl::StartsWith(request.get_header_value("Content-Type"),
                                        "application/x-www-form-urlencoded")) {
      return ReplyError(413, "the body is sent as a form: send it as application/json", response);
    }
    if (code == 413 || (code == 400 && served_stream->is_too_long())) {
      return ReplyError(413,
                        absl::StrCat("the request is too long: it may have ",
                                     HttpStream::kMostHeadBytes, " bytes of headers and a body of ",
                                     options_.largest_body, "; ", options_.what_is_here),
                        response);
    }
    ReplyError(code,
               code == 414   ? "the request's address is too long"
               : code == 415 ? "the body has a Content-Encoding: send it as it is"
                             : "the request cannot be read as one of HTTP",
               response);
  }

  // After an answer to what could not be read, or not to its end.
  static void EndConnection(httplib::Response* response) {
    ends_connection = true;
    response->set_header("Connection", "close");
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
  const HttpListenerOptions options_;
  MemoryBudget bodies_;
  std::atomic<bool> stopping_{false};
  HttpConnections connections_;
  std::unique_ptr<HttpTaskQueue> threads_;
};

HttpListener::HttpListener(HttpListenerOptions options)
    : options_(std::move(options)),
      server_(std::make_unique<Server>(options_)),
      acceptor_([this](int, int connection) { server_->Take(connection); }, options_.connections) {}

HttpListener::~HttpListener() { Stop(Duration{0}); }

bool HttpListener::HasHungUp() { return served_stream->HasHungUp(); }

void HttpListener::KeepUntilWritten(std::shared_ptr<const void> kept) {
  served_stream->Keep(std::move(kept));
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

void HttpListener::Stop(Duration grace) {
  StopListening();
  server_->Stop(grace);
}

}  // namespace tandem::server
