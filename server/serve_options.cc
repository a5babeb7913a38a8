#include "server/serve_options.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "server/config_file.h"
#include "server/core_plan.h"
#include "server/serve_settings.h"

namespace tandem::server {
namespace {

std::string VariableName(absl::string_view setting) {
  return absl::StrCat("TANDEM_", absl::AsciiStrToUpper(absl::StrReplaceAll(setting, {{"-", "_"}})));
}

// Applies the settings that are given; `source` names the place of one of them.
absl::Status ApplyAll(const std::map<std::string, std::string>& settings,
                      const std::function<std::string(const std::string&)>& source,
                      ServeOptions* options) {
  const absl::Span<const Setting> all = Settings();
  for (const auto& [name, value] : settings) {
    const auto* const setting =
        absl::c_find_if(all, [&](const Setting& each) { return each.name == name; });
    if (setting == all.end()) {
      return absl::InternalError(absl::StrCat("no setting is called ", name));
    }
    std::string place = source(name);
    const absl::Status applied = setting->read(value, *options);
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
  for (const Setting& setting : Settings()) {
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
    if (absl::c_linear_search(machine.cores, core)) continue;
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
