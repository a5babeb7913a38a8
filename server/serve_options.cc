#include "server/serve_options.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "server/config_file.h"
#include "server/core_plan.h"

namespace tandem::server {
namespace {

constexpr Setting kSettings[] = {
    {"model-repository", "DIR", "Folder of the models"},
    {"model-control", "MODE",
     "explicit: clients may load and unload models (default none: SIGHUP alone does)"},
    {"address", "ADDRESS", "Address to listen on (default 0.0.0.0)"},
    {"grpc-port", "PORT", "Port of gRPC (default 8001; 0: a free one)"},
    {"http-port", "PORT", "Port of HTTP (default 8000; 0: a free one)"},
    {"metrics-port", "PORT", "Port of the Prometheus metrics (default 8002; 0: a free one)"},
    {"log-level", "LEVEL", "debug, info, warning or error (default info)"},
    {"log-format", "FORMAT", "text or json (default text)"},
    {"drain-timeout", "TIME", "Time for accepted requests to end after SIGTERM (default 30s)"},
    {"max-message-bytes", "SIZE", "Largest message that is read (default 64MiB)"},
    {"max-streams-per-connection", "COUNT",
     "Calls of one connection at a time; more wait at the client (default 1024)"},
    {"max-metadata-bytes", "SIZE", "Largest metadata of a call (default 16KiB)"},
    {"max-network-bytes", "SIZE", "Memory of all connections together (default 1GiB)"},
    {"max-connection-age", "TIME",
     "Age at which a connection is asked to make room for a new one (default 2m; 0s: never)"},
    {"max-connections", "COUNT",
     "Connections of all ports; beyond it idle ones are closed (default 10000, or what the "
     "descriptors allow)"},
    {"max-queue-length", "COUNT", "Requests of one model that may wait (default 1024)"},
    {"max-queue-bytes", "SIZE", "Bytes of inputs of one model that may wait (default 512MiB)"},
    {"max-bytes-in-flight", "SIZE", "Bytes of inputs of all requests (default 1GiB)"},
    {"restart-patience", "TIME",
     "Time that requests wait for a worker that is started again (default 10s)"},
    {"load-timeout", "TIME",
     "Time that a model may take to load; then it is left out (default 10m; 0s: no limit)"},
    {"quarantine", "TIME", "Time that a request which ended two workers is refused (default 10m)"},
    {"front-end-cores", "CORES", "Cores of the front end, as in 0-1 (default: by the machine)"},
    {"grpc-threads", "COUNT",
     "Threads that read requests and write answers (default: by the front end's cores)"},
    {"state-file", "FILE", "Keep what is learnt of the models' times there over a restart"},
    {"port-file", "FILE", "Write the ports and the process id there, as JSON, once ready"},
    {"take-over", "FILE",
     "Take the ports over from the server that wrote this --port-file, once ready"},
};

absl::Status Expected(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", what));
}

absl::Status ReadPort(absl::string_view value, uint16_t* port) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number > 65535)
    return Expected("a port from 0 to 65535");
  *port = static_cast<uint16_t>(number);
  return absl::OkStatus();
}

absl::Status ReadSize(absl::string_view value, uint64_t most, uint64_t* size) {
  const absl::StatusOr<uint64_t> parsed = ParseSize(value);
  if (!parsed.ok() || *parsed < 1024 || *parsed > most) {
    return Expected(absl::StrCat("a size from 1KiB to ", most, " bytes, such as 64MiB"));
  }
  *size = *parsed;
  return absl::OkStatus();
}

// gRPC takes the counts as ints.
absl::Status ReadCount(absl::string_view value, uint32_t* count) {
  constexpr uint32_t kMost = std::numeric_limits<int32_t>::max();
  if (!absl::SimpleAtoi(value, count) || *count < 1 || *count > kMost) {
    return Expected("a number of 1 or more");
  }
  return absl::OkStatus();
}

absl::Status ReadLogLevel(absl::string_view value, LogLevel* level) {
  static constexpr std::pair<absl::string_view, LogLevel> kLevels[] = {
      {"trace", LogLevel::kDebug},     {"debug", LogLevel::kDebug},  {"info", LogLevel::kInfo},
      {"warning", LogLevel::kWarning}, {"warn", LogLevel::kWarning}, {"error", LogLevel::kError}};
  for (const auto& [name, named] : kLevels) {
    if (value == name) {
      *level = named;
      return absl::OkStatus();
    }
  }
  return Expected("debug, info, warning or error");
}

absl::Status ReadDuration(absl::string_view value, Duration* to) {
  absl::Duration duration;
  if (!absl::ParseDuration(value, &duration) || duration < absl::ZeroDuration() ||
      duration > absl::Hours(24)) {
    return Expected("a time from 0s to 24h, such as 30s");
  }
  *to = absl::ToChronoNanoseconds(duration);
  return absl::OkStatus();
}

// gRPC counts the bytes of a message in an int.
constexpr uint64_t kLargestMessage = std::numeric_limits<int32_t>::max();
constexpr uint64_t kLargestMetadata = uint64_t{1} << 20;
constexpr uint32_t kMostGrpcThreads = 64;

absl::Status Apply(absl::string_view name, const std::string& value, ServeOptions* options) {
  if (name == "model-repository") {
    options->model_repository = value;
  } else if (name == "model-control") {
    if (value != "none" && value != "explicit") return Expected("none or explicit");
    options->model_control =
        value == "explicit" ? ModelControlMode::kExplicit : ModelControlMode::kNone;
  } else if (name == "address") {
    if (value.empty()) return Expected("an address such as 0.0.0.0 or 127.0.0.1");
    options->address = value;
  } else if (name == "grpc-port") {
    return ReadPort(value, &options->grpc_port);
  } else if (name == "http-port") {
    return ReadPort(value, &options->http_port);
  } else if (name == "metrics-port") {
    return ReadPort(value, &options->metrics_port);
  } else if (name == "log-level") {
    return ReadLogLevel(value, &options->log_level);
  } else if (name == "log-format") {
    if (value != "text" && value != "json") return Expected("text or json");
    options->log_format = value == "json" ? LogFormat::kJson : LogFormat::kText;
  } else if (name == "drain-timeout") {
    return ReadDuration(value, &options->drain_timeout);
  } else if (name == "max-connection-age") {
    return ReadDuration(value, &options->max_connection_age);
  } else if (name == "restart-patience") {
    return ReadDuration(value, &options->restart_patience);
  } else if (name == "load-timeout") {
    return ReadDuration(value, &options->load_timeout);
  } else if (name == "quarantine") {
    return ReadDuration(value, &options->quarantine);
  } else if (name == "max-message-bytes") {
    return ReadSize(value, kLargestMessage, &options->max_message_bytes);
  } else if (name == "max-metadata-bytes") {
    return ReadSize(value, kLargestMetadata, &options->max_metadata_bytes);
  } else if (name == "max-network-bytes") {
    return ReadSize(value, uint64_t{1} << 50, &options->max_network_bytes);
  } else if (name == "max-bytes-in-flight") {
    return ReadSize(value, uint64_t{1} << 50, &options->max_bytes_in_flight);
  } else if (name == "max-queue-bytes") {
    return ReadSize(value, uint64_t{1} << 50, &options->max_queue_bytes);
  } else if (name == "max-queue-length") {
    return ReadCount(value, &options->max_queue_length);
  } else if (name == "max-connections") {
    return ReadCount(value, &options->max_connections);
  } else if (name == "max-streams-per-connection") {
    return ReadCount(value, &options->max_streams_per_connection);
  } else if (name == "state-file") {
    options->state_file = value;
  } else if (name == "grpc-threads") {
    if (!absl::SimpleAtoi(value, &options->grpc_threads) || options->grpc_threads < 1 ||
        options->grpc_threads > kMostGrpcThreads) {
      return Expected(absl::StrCat("a number from 1 to ", kMostGrpcThreads));
    }
  } else if (name == "front-end-cores") {
    absl::StatusOr<std::vector<int>> cores = ParseCores(value);
    if (!cores.ok()) return Expected("a list such as 0-1,4");
    options->front_end_cores = *std::move(cores);
  } else if (name == "port-file") {
    options->port_file = value;
  } else if (name == "take-over") {
    options->take_over = value;
  } else {
    return absl::InternalError(absl::StrCat("no setting is called ", name));
  }
  return absl::OkStatus();
}

std::string VariableName(absl::string_view setting) {
  return absl::StrCat("TANDEM_", absl::AsciiStrToUpper(absl::StrReplaceAll(setting, {{"-", "_"}})));
}

// Applies the settings that are given; `source` names the place of one of them.
absl::Status ApplyAll(const std::map<std::string, std::string>& settings,
                      const std::function<std::string(const std::string&)>& source,
                      ServeOptions* options) {
  for (const auto& [name, value] : settings) {
    std::string place = source(name);
    const absl::Status applied = Apply(name, value, options);
    if (!applied.ok()) {
      return absl::Status(applied.code(), absl::StrCat(place, "=", value, ": ", applied.message()));
    }
    options->places[name] = std::move(place);
  }
  return absl::OkStatus();
}

// A pool as the operator wrote it, and where.
struct PoolText {
  std::string source;
  PoolSpecFields fields;
};

absl::Status ApplyFile(const std::string& path, ServeOptions* options,
                       std::vector<PoolText>* pools) {
  absl::StatusOr<ConfigFile> file = ReadConfigFile(path);
  if (!file.ok()) return file.status();
  for (ConfigFile::Pool& pool : file->pools) {
    pools->push_back({std::move(pool.where), std::move(pool.fields)});
  }
  return ApplyAll(
      file->settings, [&](const std::string& name) { return file->where.at(name); }, options);
}

absl::Status ApplyVariables(const Environment& environment, ServeOptions* options) {
  std::map<std::string, std::string> variables;
  for (const Setting& setting : kSettings) {
    const char* value = environment(VariableName(setting.name));
    if (value != nullptr) variables[setting.name] = value;
  }
  return ApplyAll(variables, VariableName, options);
}

absl::StatusOr<std::vector<PoolText>> ParsePools(const std::vector<std::string>& texts,
                                                 absl::string_view source) {
  std::vector<PoolText> pools;
  for (const std::string& text : texts) {
    absl::StatusOr<PoolSpecFields> fields = ParsePoolFields(text);
    const std::string where = absl::StrCat(source, "=", text);
    if (!fields.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": ", fields.status().message()));
    }
    pools.push_back({where, *std::move(fields)});
  }
  return pools;
}

absl::Status MakePools(const std::vector<PoolText>& texts, const Machine& machine,
                       ServeOptions* options) {
  for (const PoolText& text : texts) {
    absl::StatusOr<PoolSpec> pool = MakePoolSpec(text.fields, machine);
    if (!pool.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(text.source, ": ", pool.status().message()));
    }
    if (!options->pool_places.emplace(pool->name, text.source).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(text.source, ": two pools have the name '", pool->name, "'"));
    }
    options->pools.push_back(*std::move(pool));
  }
  return absl::OkStatus();
}

absl::Status CheckPorts(const ServeOptions& options) {
  const std::pair<absl::string_view, uint16_t> ports[] = {{"grpc-port", options.grpc_port},
                                                          {"http-port", options.http_port},
                                                          {"metrics-port", options.metrics_port}};
  std::map<uint16_t, absl::string_view> taken;
  for (const auto& [name, port] : ports) {
    if (port == 0 || taken.emplace(port, name).second) continue;
    return absl::InvalidArgumentError(absl::StrCat(taken[port], " and ", name, " are both ", port,
                                                   "; give each a port of its own"));
  }
  return absl::OkStatus();
}

absl::Status CheckFrontEndCores(const ServeOptions& options, const Machine& machine) {
  for (const int core : options.front_end_cores) {
    if (std::find(machine.cores.begin(), machine.cores.end(), core) != machine.cores.end())
      continue;
    return absl::InvalidArgumentError(
        absl::StrCat(PlaceOf(options, "front-end-cores"), ": core ", core,
                     " is not there for this process; it may use ", CoresText(machine.cores)));
  }
  return absl::OkStatus();
}

// The front end's cores and the pools, as they were asked for or else by the machine.
absl::Status Plan(std::vector<PoolText> texts, const Machine& machine, ServeOptions* options) {
  options->machine_cores = machine.cores;
  if (texts.empty()) {
    if (options->front_end_cores.empty()) {
      options->front_end_cores = PlanFrontEnd(machine, machine.gpus.size());
    }
    options->pools = PlanPools(machine, options->front_end_cores);
  } else {
    if (!options->front_end_cores.empty()) {
      const std::string others = CoresText(OtherCores(machine, options->front_end_cores));
      for (PoolText& pool : texts) {
        if (pool.fields.cores.empty()) pool.fields.cores = others;
      }
    }
    if (absl::Status made = MakePools(texts, machine, options); !made.ok()) return made;
  }
  for (PoolSpec& pool : options->pools) pool.memory_node = NodeOfAll(machine, pool.cores);
  return absl::OkStatus();
}

}  // namespace

absl::Span<const Setting> Settings() { return kSettings; }

std::string PlaceOf(const ServeOptions& options, const std::string& setting) {
  const auto place = options.places.find(setting);
  return place == options.places.end() ? setting : place->second;
}

absl::StatusOr<ServeOptions> ResolveServeOptions(const ServeFlags& flags,
                                                 const Environment& environment,
                                                 const Machine& machine) {
  ServeOptions options;
  std::vector<PoolText> pools;
  absl::Status status;
  const char* config_variable = environment("TANDEM_CONFIG");
  const std::string config =
      !flags.config.empty() ? flags.config : (config_variable != nullptr ? config_variable : "");
  if (!config.empty()) status = ApplyFile(config, &options, &pools);
  if (status.ok()) status = ApplyVariables(environment, &options);
  if (status.ok()) {
    status = ApplyAll(
        flags.settings, [](const std::string& name) { return absl::StrCat("--", name); }, &options);
  }
  if (!status.ok()) return status;

  // TANDEM_POOL holds pools separated by ';'.
  const char* pool_variable = environment("TANDEM_POOL");
  if (!flags.pools.empty() || pool_variable != nullptr) {
    const bool from_flags = !flags.pools.empty();
    const std::vector<std::string> texts =
        from_flags ? flags.pools : absl::StrSplit(pool_variable, ';', absl::SkipWhitespace());
    absl::StatusOr<std::vector<PoolText>> parsed =
        ParsePools(texts, from_flags ? "--pool" : "TANDEM_POOL");
    if (!parsed.ok()) return parsed.status();
    pools = *std::move(parsed);
  }
  status = CheckPorts(options);
  if (status.ok()) status = CheckFrontEndCores(options, machine);
  if (status.ok()) status = Plan(std::move(pools), machine, &options);
  if (!status.ok()) return status;
  if (options.model_repository.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.empty() ? "" : absl::StrCat(config, ": "),
                     "--model-repository is missing: give the folder of the models, or set "
                     "TANDEM_MODEL_REPOSITORY"));
  }
  return options;
}

}  // namespace tandem::server
