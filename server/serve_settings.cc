#include "server/serve_settings.h"

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tandem::server {
namespace {

absl::Status Expected(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", what));
}

absl::Status ReadText(const std::string& value, std::string* text) {
  *text = value;
  return absl::OkStatus();
}

absl::Status ReadAddress(const std::string& value, std::string* address) {
  if (value.empty()) return Expected("an address such as 0.0.0.0 or 127.0.0.1");
  *address = value;
  return absl::OkStatus();
}

absl::Status ReadPort(const std::string& value, uint16_t* port) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number > 65535)
    return Expected("a port from 0 to 65535");
  *port = static_cast<uint16_t>(number);
  return absl::OkStatus();
}

template <uint64_t kMost>
absl::Status ReadSize(const std::string& value, uint64_t* size) {
  const absl::StatusOr<uint64_t> parsed = ParseSize(value);
  if (!parsed.ok() || *parsed < 1024 || *parsed > kMost) {
    return Expected(absl::StrCat("a size from 1KiB to ", kMost, " bytes, such as 64MiB"));
  }
  *size = *parsed;
  return absl::OkStatus();
}

// gRPC takes the counts as ints.
absl::Status ReadCount(const std::string& value, uint32_t* count) {
  constexpr uint32_t kMost = std::numeric_limits<int32_t>::max();
  uint32_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number < 1 || number > kMost) {
    return Expected("a number of 1 or more");
  }
  *count = number;
  return absl::OkStatus();
}

absl::Status ReadThreads(const std::string& value, uint32_t* threads) {
  constexpr uint32_t kMost = 64;
  uint32_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number < 1 || number > kMost) {
    return Expected(absl::StrCat("a number from 1 to ", kMost));
  }
  *threads = number;
  return absl::OkStatus();
}

absl::Status ReadCores(const std::string& value, std::vector<int>* cores) {
  absl::StatusOr<std::vector<int>> parsed = ParseCores(value);
  if (!parsed.ok()) return Expected("a list such as 0-1,4");
  *cores = *std::move(parsed);
  return absl::OkStatus();
}

absl::Status ReadDuration(const std::string& value, Duration* to) {
  absl::Duration duration;
  if (!absl::ParseDuration(value, &duration) || duration < absl::ZeroDuration() ||
      duration > absl::Hours(24)) {
    return Expected("a time from 0s to 24h, such as 30s");
  }
  *to = absl::ToChronoNanoseconds(duration);
  return absl::OkStatus();
}

absl::Status ReadModelControl(const std::string& value, ModelControlMode* mode) {
  if (value != "none" && value != "explicit") return Expected("none or explicit");
  *mode = value == "explicit" ? ModelControlMode::kExplicit : ModelControlMode::kNone;
  return absl::OkStatus();
}

absl::Status ReadLogFormat(const std::string& value, LogFormat* format) {
  if (value != "text" && value != "json") return Expected("text or json");
  *format = value == "json" ? LogFormat::kJson : LogFormat::kText;
  return absl::OkStatus();
}

absl::Status ReadLogLevel(const std::string& value, LogLevel* level) {
  static constexpr std::pair<absl::string_view, LogLevel> kLevels[] = {
      {"trace", LogLevel::kDebug},     {"debug", LogLevel::kDebug},  {"info", LogLevel::kInfo},
      {"warning", LogLevel::kWarning}, {"warn", LogLevel::kWarning}, {"error", LogLevel::kError}};
  for (const auto& [name, named] : kLevels) {
    if (value != name) continue;
    *level = named;
    return absl::OkStatus();
  }
  return Expected("debug, info, warning or error");
}

// gRPC counts the bytes of a message in an int.
constexpr uint64_t kLargestMessage = std::numeric_limits<int32_t>::max();
constexpr uint64_t kLargestMetadata = uint64_t{1} << 20;
constexpr uint64_t kLargestMemory = uint64_t{1} << 50;

// Of the setting that `kField` keeps and `kRead` reads.
template <auto kField, auto kRead>
constexpr Setting Of(const char* name, const char* value_name, const char* help,
                     AtReload at_reload = AtReload::kRefused) {
  return {name,
          value_name,
          help,
          at_reload,
          [](const std::string& value, ServeOptions& options) {
            return kRead(value, &(options.*kField));
          },
          [](const ServeOptions& a, const ServeOptions& b) { return a.*kField == b.*kField; }};
}

using O = ServeOptions;

constexpr Setting kSettings[] = {
    Of<&O::model_repository, ReadText>("model-repository", "DIR", "Folder of the models"),
    Of<&O::model_control, ReadModelControl>(
        "model-control", "MODE",
        "explicit: clients may load and unload models (default none: SIGHUP alone does)"),
    Of<&O::address, ReadAddress>("address", "ADDRESS", "Address to listen on (default 0.0.0.0)"),
    Of<&O::grpc_port, ReadPort>("grpc-port", "PORT", "Port of gRPC (default 8001; 0: a free one)"),
    Of<&O::http_port, ReadPort>("http-port", "PORT", "Port of HTTP (default 8000; 0: a free one)"),
    Of<&O::metrics_port, ReadPort>("metrics-port", "PORT",
                                   "Port of the Prometheus metrics (default 8002; 0: a free one)"),
    Of<&O::log_level, ReadLogLevel>(
        "log-level", "LEVEL", "debug, info, warning or error (default info)", AtReload::kTaken),
    Of<&O::log_format, ReadLogFormat>("log-format", "FORMAT", "text or json (default text)"),
    Of<&O::drain_timeout, ReadDuration>(
        "drain-timeout", "TIME", "Time for accepted requests to end after SIGTERM (default 30s)",
        AtReload::kTaken),
    Of<&O::max_message_bytes, ReadSize<kLargestMessage>>(
        "max-message-bytes", "SIZE", "Largest message that is read (default 64MiB)"),
    Of<&O::max_streams_per_connection, ReadCount>(
        "max-streams-per-connection", "COUNT",
        "Calls of one connection at a time; more wait at the client (default 1024)"),
    Of<&O::max_metadata_bytes, ReadSize<kLargestMetadata>>(
        "max-metadata-bytes", "SIZE", "Largest metadata of a call (default 16KiB)"),
    Of<&O::max_network_bytes, ReadSize<kLargestMemory>>(
        "max-network-bytes", "SIZE", "Memory of all connections together (default 1GiB)"),
    Of<&O::max_connection_age, ReadDuration>(
        "max-connection-age", "TIME",
        "Age at which a connection is asked to make room for a new one (default 2m; 0s: never)"),
    Of<&O::max_connections, ReadCount>(
        "max-connections", "COUNT",
        "Connections of all ports; beyond it idle ones are closed (default 10000, or what the "
        "descriptors allow)"),
    Of<&O::max_queue_length, ReadCount>("max-queue-length", "COUNT",
                                        "Requests of one model that may wait (default 1024)",
                                        AtReload::kTaken),
    Of<&O::max_queue_bytes, ReadSize<kLargestMemory>>(
        "max-queue-bytes", "SIZE", "Bytes of inputs of one model that may wait (default 512MiB)",
        AtReload::kTaken),
    Of<&O::max_bytes_in_flight, ReadSize<kLargestMemory>>(
        "max-bytes-in-flight", "SIZE", "Bytes of inputs of all requests (default 1GiB)",
        AtReload::kTaken),
    Of<&O::restart_patience, ReadDuration>(
        "restart-patience", "TIME",
        "Time that requests wait for a worker that is started again (default 10s)"),
    Of<&O::load_timeout, ReadDuration>(
        "load-timeout", "TIME",
        "Time that a model may take to load; then it is left out (default 10m; 0s: no limit)"),
    Of<&O::quarantine, ReadDuration>(
        "quarantine", "TIME",
        "Time that a request which ended two workers is refused (default 10m)"),
    Of<&O::front_end_cores, ReadCores>(
        "front-end-cores", "CORES", "Cores of the front end, as in 0-1 (default: by the machine)"),
    Of<&O::grpc_threads, ReadThreads>(
        "grpc-threads", "COUNT",
        "Threads that read requests and write answers (default: by the front end's cores)"),
    Of<&O::state_file, ReadText>("state-file", "FILE",
                                 "Keep what is learnt of the models' times there over a restart"),
    Of<&O::port_file, ReadText>("port-file", "FILE",
                                "Keep the ports and the process id there, as JSON, while ready"),
    Of<&O::take_over, ReadText>(
        "take-over", "FILE",
        "Take the ports over from the server that wrote this --port-file, once ready"),
};

}  // namespace

absl::Span<const Setting> Settings() { return kSettings; }

}  // namespace tandem::server
