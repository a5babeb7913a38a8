#include "server/config_file.h"

#include <string>

#include "tests/support/catch.h"

namespace tandem::server {

TEST_CASE("A configuration file sets what flags set, and pools", "[config_file]") {
  const auto file = ParseConfigFile(R"(model_repository: "models"
grpc_port: 0
limits { max_queue_length: 7 }
pools { name: "cpu" lanes: 2 cores: "0-1" }
pools { name: "gpu" device: "gpu:0" }
)",
                                    "server.pbtxt");
  REQUIRE(file.ok());
  CHECK(file->settings.at("model-repository") == "models");
  CHECK(file->settings.at("grpc-port") == "0");
  CHECK(file->settings.at("max-queue-length") == "7");
  CHECK(file->settings.count("http-port") == 0);
  CHECK(file->where.at("grpc-port") == "server.pbtxt:2: grpc_port");
  CHECK(file->where.at("max-queue-length") == "server.pbtxt:3: max_queue_length");
  REQUIRE(file->pools.size() == 2);
  CHECK(file->pools[0].fields.cores == "0-1");
  CHECK(file->pools[1].where == "server.pbtxt:5: pools");
}

TEST_CASE("A mistake in a configuration file is told with file, line and column", "[config_file]") {
  const auto unknown = ParseConfigFile("address: '::'\nports: 3\n", "server.pbtxt");
  REQUIRE(absl::IsInvalidArgument(unknown.status()));
  const std::string message(unknown.status().message());
  CHECK(message.find("server.pbtxt:2:") == 0);
  CHECK(message.find("ports") != std::string::npos);
  CHECK(ParseConfigFile("grpc_port: many", "server.pbtxt").status().message().find("grpc_port") !=
        std::string::npos);
}

TEST_CASE("A configuration file that is not there is not found", "[config_file]") {
  CHECK(absl::IsNotFound(ReadConfigFile("no/such/file").status()));
}

}  // namespace tandem::server
