// Everything that `tandem serve` can be told, and where each setting comes from: a flag, else a
// TANDEM_* variable, else the configuration file, else the default. Values; free functions,
// thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/log.h"
#include "server/pool_spec.h"

namespace tandem::server {

enum class LogFormat { kText, kJson };

// Who may have models loaded and unloaded while the server runs: the operator alone (SIGHUP), or
// clients too (RepositoryModelLoad, RepositoryModelUnload).
enum class ModelControlMode { kNone, kExplicit };

struct ServeOptions {
  std::string model_repository;
  ModelControlMode model_control = ModelControlMode::kNone;
  std::string address = "0.0.0.0";
  // 0: a free one.
  uint16_t grpc_port = 8001;
  uint16_t http_port = 8000;
  uint16_t metrics_port = 8002;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  // How long accepted requests may take to end after SIGTERM.
  Duration drain_timeout = std::chrono::seconds(30);
  // Largest message that is read.
  uint64_t max_message_bytes = uint64_t{64} << 20;
  // Calls of one connection at a time; more wait at the client.
  uint32_t max_streams_per_connection = 1024;
  // A call's metadata, in bytes.
  uint64_t max_metadata_bytes = uint64_t{16} << 10;
  // Memory that gRPC may hold for all connections.
  uint64_t max_network_bytes = uint64_t{1} << 30;
  // A connection that is older is asked to make room for a new one. 0: never.
  Duration max_connection_age = std::chrono::minutes(2);
  // Connections of all ports together; fewer where the process may have fewer descriptors.
  uint32_t max_connections = 10'000;
  // Requests of one model that wait.
  uint32_t max_queue_length = 1024;
  // Bytes of their inputs.
  uint64_t max_queue_bytes = uint64_t{512} << 20;
  // Bytes of inputs of all requests.
  uint64_t max_bytes_in_flight = uint64_t{1} << 30;
  // How long requests wait for a worker that died and is started again, where no other runs them.
  Duration restart_patience = std::chrono::seconds(10);
  // How long a worker may load one model. 0: for ever.
  Duration load_timeout = std::chrono::minutes(10);
  // How long a request that ended two workers is refused. 0: not at all.
  Duration quarantine = std::chrono::minutes(10);
  // A file that gets the ports and the process id when the server is ready. Empty: none.
  std::string port_file;
  // A file that keeps what was learnt of the models' times over a restart. Empty: none.
  std::string state_file;
  // Threads that read gRPC's requests and write its answers. 0: by the front end's cores.
  uint32_t grpc_threads = 0;
  // Cores of the front end. Empty: all that the process may use.
  std::vector<int> front_end_cores;
  // All that the process may use.
  std::vector<int> machine_cores;
  // The port file of a server to take the ports over from. Empty: none.
  std::string take_over;
  std::vector<PoolSpec> pools;
  // Where each setting and each pool that was given stands, by its name: "--grpc-port",
  // "server.pbtxt:3: grpc_port", "server.pbtxt:7: pools".
  std::map<std::string, std::string> places;
  std::map<std::string, std::string> pool_places;
};

// Where the setting stands; its name, where it has its default.
std::string PlaceOf(const ServeOptions& options, const std::string& setting);

// As given on the command line: setting name → value.
struct ServeFlags {
  std::map<std::string, std::string> settings;
  std::vector<std::string> pools;
  std::string config;
};

// Value of an environment variable; nullptr where it is not set.
using Environment = std::function<const char*(const std::string& name)>;

// INVALID_ARGUMENT: one line that names the flag or variable, the value and the choices. NOT_FOUND:
// no such configuration file.
absl::StatusOr<ServeOptions> ResolveServeOptions(const ServeFlags& flags,
                                                 const Environment& environment,
                                                 const Machine& machine);

}  // namespace tandem::server
