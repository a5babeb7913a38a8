#include "server/http_listener.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr Duration kAnswersWithin = std::chrono::minutes(1);
constexpr auto kForClients = std::chrono::hours(1);

// A connection with bytes in and out.
class RawClient {
 public:
  explicit RawClient(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  }
  ~RawClient() { close(socket_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool Send(std::string_view text) {
    return send(socket_, text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  }

  // Something can be received, or the other side has closed.
  bool AwaitNews(Duration timeout) {
    pollfd event{socket_, POLLIN, 0};
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
    return poll(&event, 1, static_cast<int>(wait.count())) > 0;
  }

  // Until it ends so. Empty where the other side closed before.
  std::string ReceiveUntil(std::string_view end) {
    std::string text;
    while (!text.ends_with(end)) {
      char byte = 0;
      if (!AwaitNews(kAnswersWithin) || recv(socket_, &byte, 1, 0) != 1) return "";
      text.push_back(byte);
    }
    return text;
  }

  int socket() const { return socket_; }

 private:
  const int socket_;
};

class TestListener {
 public:
  explicit TestListener(HttpListenerOptions options) : listener_(WithAddress(std::move(options))) {
    listener_.routes().Get("/live", [](const httplib::Request&, httplib::Response& reply) {
      reply.set_content("alive", "text/plain");
    });
    listener_.routes().Get("/large", [](const httplib::Request&, httplib::Response& reply) {
      reply.set_content(std::string(size_t{64} << 20, 'x'), "text/plain");
    });
    listener_.routes().Post("/length",
                            [](const httplib::Request& request, httplib::Response& reply) {
                              reply.set_content(std::to_string(request.body.size()), "text/plain");
                            });
    REQUIRE(listener_.Start().ok());
  }

  uint16_t port() const { return listener_.port(); }

 private:
  static HttpListenerOptions WithAddress(HttpListenerOptions options) {
    options.address = "127.0.0.1";
    options.calls_per_connection = 100;
    return options;
  }

  HttpListener listener_;
};

// With two threads, for clients that may take as long as they like.
HttpListenerOptions TwoPatientThreads() {
  HttpListenerOptions options;
  options.least_threads = 2;
  options.most_threads = 2;
  options.times = {kForClients, kForClients, kForClients, kForClients, kForClients};
  return options;
}

constexpr std::string_view kHalfRequest = "GET /live HTTP/1.1\r\nHost: x\r\nX-";
constexpr std::string_view kOtherHalf = "Y: z\r\n\r\n";

bool ServesLive(uint16_t port) {
  httplib::Client client("127.0.0.1", port);
  client.set_read_timeout(std::chrono::seconds(60));
  const httplib::Result reply = client.Get("/live", {{"Connection", "close"}});
  return reply && reply->body == "alive";
}

}  // namespace

TEST_CASE("A client that drips its request is closed when the request's time is over", "[http]") {
  HttpListenerOptions options;
  options.times.request = std::chrono::milliseconds(300);
  const TestListener listener(options);
  RawClient client(listener.port());
  REQUIRE(client.Send(kHalfRequest));
  const auto began = std::chrono::steady_clock::now();
  while (!client.AwaitNews(std::chrono::milliseconds(50))) {
    REQUIRE(std::chrono::steady_clock::now() < began + kAnswersWithin);
    client.Send("y");
  }
  CHECK(client.ReceiveUntil("alive").empty());
  CHECK(ServesLive(listener.port()));
}

TEST_CASE("A client that does not take its answer is closed when the answer's time is over",
          "[http]") {
  HttpListenerOptions options;
  options.times.write = kForClients;
  options.times.answer = std::chrono::milliseconds(300);
  auto listener = std::make_unique<TestListener>(options);
  RawClient client(listener->port());
  REQUIRE(client.Send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
  REQUIRE(client.AwaitNews(kAnswersWithin));
  // Waits for the thread.
  listener.reset();
  std::vector<char> some(100'000);
  size_t received = 0;
  ssize_t size = 0;
  while ((size = recv(client.socket(), some.data(), some.size(), 0)) > 0) {
    received += static_cast<size_t>(size);
  }
  CHECK(received > 0);
  CHECK(received < size_t{64} << 20);
}

TEST_CASE("Where all threads are taken, a client that is slow makes room", "[http]") {
  const TestListener listener(TwoPatientThreads());
  RawClient first(listener.port());
  RawClient second(listener.port());
  // Each has its thread.
  for (RawClient* client : {&first, &second}) {
    REQUIRE(client->Send("GET /live HTTP/1.1\r\nHost: x\r\n\r\n"));
    REQUIRE(!client->ReceiveUntil("alive").empty());
    REQUIRE(client->Send(kHalfRequest));
  }
  CHECK(ServesLive(listener.port()));
  const bool first_is_closed = first.AwaitNews(Duration{0});
  CHECK(first_is_closed != second.AwaitNews(Duration{0}));
  RawClient& closed = first_is_closed ? first : second;
  RawClient& open = first_is_closed ? second : first;
  CHECK(closed.ReceiveUntil("alive").empty());
  REQUIRE(open.Send(kOtherHalf));
  CHECK(!open.ReceiveUntil("alive").empty());
}

TEST_CASE("Many slow clients keep nobody out", "[http]") {
  const TestListener listener(TwoPatientThreads());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) {
      clients.push_back(std::make_unique<RawClient>(listener.port()));
      if (i % 2 == 0) clients.back()->Send(kHalfRequest);
    }
    CHECK(ServesLive(listener.port()));
  }
}

TEST_CASE("A body is read as far as there is memory for it", "[http]") {
  HttpListenerOptions options;
  options.times = {kForClients, kForClients, kForClients, kForClients, kForClients};
  options.largest_body = 1000;
  options.most_body_bytes = 1000;
  const TestListener listener(options);
  const auto post = [&](size_t bytes) {
    httplib::Client client("127.0.0.1", listener.port());
    client.set_read_timeout(std::chrono::seconds(60));
    const httplib::Result reply = client.Post("/length", std::string(bytes, 'x'), "text/plain");
    REQUIRE(reply);
    return std::pair(reply->status, reply->body);
  };
  CHECK(post(1000) == std::pair(200, std::string("1000")));
  CHECK(post(0) == std::pair(200, std::string("0")));
  CHECK(post(1001).first == 413);
  RawClient half(listener.port());
  REQUIRE(half.Send("POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"));
  std::pair<int, std::string> refused;
  // Once what came of it was read.
  while (refused.first != 429) refused = post(1000);
  CHECK(refused.second.find("have all the memory that they may take together") !=
        std::string::npos);
  REQUIRE(half.Send("67890"));
  CHECK(!half.ReceiveUntil("10").empty());
  while (refused.first != 200) refused = post(1000);
}

TEST_CASE("A client that takes no answer makes room too", "[http]") {
  const TestListener listener(TwoPatientThreads());
  RawClient first(listener.port());
  RawClient second(listener.port());
  for (RawClient* client : {&first, &second}) {
    REQUIRE(client->Send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
    REQUIRE(client->AwaitNews(kAnswersWithin));
  }
  CHECK(ServesLive(listener.port()));
}

}  // namespace tandem::server
