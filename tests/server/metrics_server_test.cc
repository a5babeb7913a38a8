#include "server/metrics_server.h"

#include <httplib.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include <string>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

struct Counted {
  Counted() {
    prometheus::BuildCounter()
        .Name("seen_total")
        .Help("Seen.")
        .Register(registry)
        .Add({})
        .Increment(3);
  }
  prometheus::Registry registry;
};

}  // namespace

TEST_CASE("The metrics are served as Prometheus reads them", "[metrics_server]") {
  const Counted some;
  const Counted others;
  MetricsServer server("127.0.0.1", 0, false, {&some.registry, &others.registry});
  REQUIRE(server.Start().ok());
  httplib::Client client("127.0.0.1", server.port());
  const httplib::Result reply = client.Get("/metrics");
  REQUIRE(reply);
  CHECK(reply->status == 200);
  CHECK(reply->get_header_value("Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
  const std::string family = "# HELP seen_total Seen.\n# TYPE seen_total counter\nseen_total 3\n";
  CHECK(reply->body == family + family);
  const httplib::Result missing = client.Get("/");
  REQUIRE(missing);
  CHECK(missing->status == 404);
}

TEST_CASE("A metrics server whose port is taken says so, and one can follow another",
          "[metrics_server]") {
  MetricsServer first("127.0.0.1", 0, false, {});
  REQUIRE(first.Start().ok());
  MetricsServer second("127.0.0.1", first.port(), false, {});
  const absl::Status taken = second.Start();
  CHECK(std::string(taken.message()).find("is taken; choose another with --metrics-port") !=
        std::string::npos);
  first.Stop(std::chrono::seconds(1));
  first.Stop(std::chrono::seconds(1));
  MetricsServer third("127.0.0.1", first.port(), false, {});
  CHECK(third.Start().ok());
}

}  // namespace tandem::server
