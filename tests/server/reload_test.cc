#include "server/reload.h"

#include <string>

#include "tests/support/catch.h"

namespace tandem::server {

TEST_CASE("Limits, the log's level and the drain's time may change while the server runs",
          "[reload]") {
  const ServeOptions before;
  ServeOptions after;
  CHECK(CheckReload(before, after).ok());
  after.log_level = LogLevel::kDebug;
  after.drain_timeout = std::chrono::seconds(1);
  after.max_queue_length = 1;
  after.max_bytes_in_flight = 1024;
  CHECK(CheckReload(before, after).ok());
}

TEST_CASE("A setting that only a new start can change is refused by its name", "[reload]") {
  const auto refusal = [](auto change) {
    ServeOptions after;
    change(after);
    const absl::Status status = CheckReload(ServeOptions(), after);
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  CHECK(refusal([](ServeOptions& o) { o.grpc_port = 9; }) ==
        "grpc-port cannot change while the server runs; start it again for that");
  CHECK(refusal([](ServeOptions& o) { o.http_port = 9; }).find("http-port") == 0);
  CHECK(refusal([](ServeOptions& o) { o.metrics_port = 9; }).find("metrics-port") == 0);
  CHECK(refusal([](ServeOptions& o) { o.address = "::"; }).find("address") == 0);
  CHECK(refusal([](ServeOptions& o) { o.model_repository = "m"; }).find("model-repository") == 0);
  CHECK(refusal([](ServeOptions& o) {
          o.model_control = ModelControlMode::kExplicit;
        }).find("model-control") == 0);
  CHECK(refusal([](ServeOptions& o) { o.log_format = LogFormat::kJson; }).find("log-format") == 0);
  CHECK(refusal([](ServeOptions& o) { o.load_timeout = Duration{0}; }).find("load-t") == 0);
  CHECK(refusal([](ServeOptions& o) { o.quarantine = Duration{0}; }).find("quarantine") == 0);
  CHECK(refusal([](ServeOptions& o) { o.restart_patience = Duration{0}; }).find("restart-") == 0);
  CHECK(refusal([](ServeOptions& o) { o.max_message_bytes = 9; }).find("max-message-bytes") == 0);
  CHECK(refusal([](ServeOptions& o) { o.max_metadata_bytes = 9; }).find("max-metadata") == 0);
  CHECK(refusal([](ServeOptions& o) { o.max_network_bytes = 9; }).find("max-network") == 0);
  CHECK(refusal([](ServeOptions& o) { o.max_streams_per_connection = 9; }).find("max-streams") ==
        0);
  CHECK(refusal([](ServeOptions& o) { o.max_connection_age = Duration{0}; }).find("max-conn") == 0);
  CHECK(refusal([](ServeOptions& o) { o.max_connections = 9; }).find("max-connections") == 0);
  CHECK(refusal([](ServeOptions& o) { o.grpc_threads = 9; }).find("grpc-threads") == 0);
  CHECK(refusal([](ServeOptions& o) { o.take_over = "p"; }).find("take-over") == 0);
  CHECK(refusal([](ServeOptions& o) { o.port_file = "p"; }).find("port-file") == 0);
  CHECK(refusal([](ServeOptions& o) { o.pools.emplace_back(); }).find("pools") == 0);
}

TEST_CASE("A refused change is told with the place where it stands", "[reload]") {
  const ServeOptions before;
  ServeOptions after;
  after.grpc_port = 9;
  after.places["grpc-port"] = "server.pbtxt:3: grpc_port";
  CHECK(CheckReload(before, after).message() ==
        "server.pbtxt:3: grpc_port cannot change while the server runs; start it again for that");
  after = before;
  for (const char* name : {"a", "b"}) {
    after.pools.emplace_back();
    after.pools.back().name = name;
  }
  ServeOptions other = after;
  other.pools[1].lanes = 7;
  other.pool_places = {{"a", "server.pbtxt:4: pools"}, {"b", "server.pbtxt:9: pools"}};
  CHECK(CheckReload(after, other).message().find("server.pbtxt:9: pools cannot change") == 0);
  other = after;
  other.pools.erase(other.pools.begin());
  CHECK(CheckReload(after, other).message().find("pools cannot change") == 0);
}

}  // namespace tandem::server
