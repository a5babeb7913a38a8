#include "server/serve_options.h"

#include <fstream>
#include <map>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tandem::server {
namespace {

const Machine kMachine{{0, 1}, {}, {}, {}};

absl::StatusOr<ServeOptions> Resolve(const ServeFlags& flags,
                                     const std::map<std::string, std::string>& variables = {}) {
  const Environment environment = [&](const std::string& name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
  return ResolveServeOptions(flags, environment, kMachine);
}

ServeFlags Flags(std::map<std::string, std::string> settings) {
  settings.emplace("model-repository", "models");
  return {std::move(settings), {}, ""};
}

void CheckOptionsRefused(const ServeFlags& flags, const std::string& expected,
                         const std::map<std::string, std::string>& variables = {}) {
  const auto options = Resolve(flags, variables);
  REQUIRE_FALSE(options.ok());
  CAPTURE(std::string(options.status().message()));
  CHECK(std::string(options.status().message()).find(expected) != std::string::npos);
}

}  // namespace

TEST_CASE("Without settings the server has its documented defaults", "[serve_options]") {
  const auto options = Resolve(Flags({}));
  REQUIRE(options.ok());
  CHECK(options->address == "0.0.0.0");
  CHECK(options->grpc_port == 8001);
  CHECK(options->http_port == 8000);
  CHECK(options->metrics_port == 8002);
  CHECK(options->drain_timeout == std::chrono::seconds(30));
  CHECK(options->load_timeout == std::chrono::minutes(10));
  CHECK(options->max_message_bytes == uint64_t{64} << 20);
  REQUIRE(options->pools.size() == 1);
  CHECK(options->pools[0].lanes == 2);
}

TEST_CASE("A flag goes before a variable, a variable before the file", "[serve_options]") {
  TemporaryFolder folder;
  const std::string path = folder.Write("server.pbtxt",
                                        "grpc_port: 1\nhttp_port: 1\nmetrics_port: 4\n"
                                        "load_timeout: '90s'\n"
                                        "pools { name: 'from-file' }\n");
  ServeFlags flags = Flags({{"grpc-port", "3"}});
  flags.config = path;
  const auto options = Resolve(flags, {{"TANDEM_GRPC_PORT", "2"}, {"TANDEM_HTTP_PORT", "2"}});
  REQUIRE(options.ok());
  CHECK(options->grpc_port == 3);
  CHECK(options->http_port == 2);
  CHECK(options->metrics_port == 4);
  CHECK(options->load_timeout == std::chrono::seconds(90));
  CHECK(options->pools[0].name == "from-file");
  flags.pools = {"from-flag=device:cpu"};
  const auto with_pools = Resolve(flags, {{"TANDEM_POOL", "a=device:cpu;b=device:cpu"}});
  REQUIRE(with_pools.ok());
  REQUIRE(with_pools->pools.size() == 1);
  CHECK(with_pools->pools[0].name == "from-flag");
}

TEST_CASE("A bad value is told with its flag, variable or line", "[serve_options]") {
  CheckOptionsRefused(Flags({{"grpc-port", "65536"}}), "--grpc-port=65536: expected a port");
  CheckOptionsRefused(Flags({{"log-format", "xml"}}), "--log-format=xml: expected text or json");
  CheckOptionsRefused(Flags({{"log-level", "loud"}}), "--log-level=loud: expected debug");
  CheckOptionsRefused(Flags({{"drain-timeout", "soon"}}), "--drain-timeout=soon");
  CheckOptionsRefused(Flags({{"load-timeout", "-1s"}}), "--load-timeout=-1s");
  CheckOptionsRefused(Flags({{"max-message-bytes", "3GiB"}}), "--max-message-bytes=3GiB");
  CheckOptionsRefused(Flags({}), "TANDEM_HTTP_PORT=x", {{"TANDEM_HTTP_PORT", "x"}});
  TemporaryFolder folder;
  ServeFlags flags = Flags({});
  flags.config = folder.Write("server.pbtxt", "\nhttp_port: 99999\n");
  CheckOptionsRefused(flags, "server.pbtxt:2: http_port=99999");
  flags.config = folder.Write("server.pbtxt", "\n\nfront_end_cores: '7'\n");
  CheckOptionsRefused(flags, "server.pbtxt:3: front_end_cores: core 7 is not there");
}

TEST_CASE("Settings and pools are kept with the places where they stand", "[serve_options]") {
  TemporaryFolder folder;
  ServeFlags flags = Flags({{"grpc-port", "3"}});
  flags.config = folder.Write("server.pbtxt", "grpc_port: 1\nhttp_port: 1\npools { name: 'a' }\n");
  const auto options = Resolve(flags, {{"TANDEM_METRICS_PORT", "4"}});
  REQUIRE(options.ok());
  CHECK(PlaceOf(*options, "grpc-port") == "--grpc-port");
  CHECK(PlaceOf(*options, "metrics-port") == "TANDEM_METRICS_PORT");
  CHECK(PlaceOf(*options, "http-port").find("server.pbtxt:2: http_port") != std::string::npos);
  CHECK(PlaceOf(*options, "address") == "address");
  REQUIRE(options->pool_places.contains("a"));
  CHECK(options->pool_places.at("a").find("server.pbtxt:3: pools") != std::string::npos);
}

TEST_CASE("Two ports of one number are refused, unless each is any free one", "[serve_options]") {
  CheckOptionsRefused(Flags({{"grpc-port", "8002"}}), "grpc-port and metrics-port are both 8002");
  CheckOptionsRefused(Flags({{"http-port", "8001"}}), "grpc-port and http-port are both 8001");
  CHECK(Resolve(Flags({{"grpc-port", "0"}, {"http-port", "0"}, {"metrics-port", "0"}}), {}).ok());
}

TEST_CASE("Two pools of one name, or no repository, are refused", "[serve_options]") {
  ServeFlags flags = Flags({});
  flags.pools = {"a=device:cpu", "a=device:gpu:0"};
  CheckOptionsRefused(flags, "two pools have the name 'a'");
  CheckOptionsRefused(ServeFlags{}, "--model-repository is missing");
  TemporaryFolder folder;
  const std::string empty = folder.Write("server.pbtxt", "");
  CheckOptionsRefused({{}, {}, empty}, "server.pbtxt: --model-repository is missing");
}

}  // namespace tandem::server
