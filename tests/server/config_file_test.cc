#include "server/config_file.h"

#include <string>

#include "absl/strings/str_cat.h"
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

TEST_CASE("A 0 in a configuration file is no default", "[config_file]") {
  const auto limits = ParseConfigFile("grpc_threads: 0\nlimits { max_queue_length: 0 }", "s.pbtxt");
  REQUIRE(limits.ok());
  CHECK(limits->settings.at("grpc-threads") == "0");
  CHECK(limits->settings.at("max-queue-length") == "0");
  for (const char* field : {"processes", "lanes", "threads", "input_arena_bytes", "memory_bytes",
                            "cpu_share", "device_memory_bytes"}) {
    const auto pool = ParseConfigFile(
        absl::StrCat("pools { name: 'a' }\npools {\n  name: 'b'\n  ", field, ": 0\n}"), "s.pbtxt");
    CHECK(pool.status() ==
          absl::InvalidArgumentError(absl::StrCat(
              "s.pbtxt:4: ", field, ": 0: expected more; leave it out to have the default")));
  }
  const auto allowed =
      ParseConfigFile("pools { name: '0' cores: '0' express: 0 nice: 0 }", "s.pbtxt");
  REQUIRE(allowed.ok());
  CHECK(allowed->pools.at(0).fields.express == 0);
}

TEST_CASE("A configuration file that is not there is not found", "[config_file]") {
  CHECK(absl::IsNotFound(ReadConfigFile("no/such/file").status()));
}

}  // namespace tandem::server
