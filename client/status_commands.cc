#include "client/status_commands.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/array_json.h"
#include "client/connection_options.h"
#include "client/exit_code.h"
#include "client/text_table.h"

namespace tandem::client {
namespace {

using Json = nlohmann::json;

Json CostsJson(const v1::ModelStatus& model) {
  Json costs = Json::array();
  for (const v1::PoolCost& cost : model.costs()) {
    costs.push_back({{"pool", cost.pool()},
                     {"alpha_us", cost.alpha_us()},
                     {"beta_us", cost.beta_us()},
                     {"error_p50", cost.error_p50()},
                     {"error_p90", cost.error_p90()},
                     {"error_p99", cost.error_p99()},
                     {"batches", cost.batches()}});
  }
  return costs;
}

Json ModelsJson(const v1::ServerStatusResponse& status) {
  Json models = Json::array();
  for (const v1::ModelStatus& model : status.models()) {
    models.push_back(
        {{"name", model.name()},
         {"version", model.version()},
         {"state", model.state()},
         {"reason", model.reason()},
         {"pools", std::vector<std::string>(model.pools().begin(), model.pools().end())},
         {"requests", model.requests()},
         {"failures", model.failures()},
         {"queued", model.queued()},
         {"costs", CostsJson(model)}});
  }
  return models;
}

Json PoolsJson(const v1::ServerStatusResponse& status) {
  Json pools = Json::array();
  for (const v1::PoolStatus& pool : status.pools()) {
    Json workers = Json::array();
    for (const v1::WorkerStatus& worker : pool.workers()) {
      workers.push_back({{"name", worker.name()},
                         {"state", worker.state()},
                         {"pid", worker.pid()},
                         {"lanes", worker.lanes()},
                         {"restarts", worker.restarts()},
                         {"last_exit", worker.last_exit()},
                         {"resident_bytes", worker.resident_bytes()}});
    }
    pools.push_back({{"name", pool.name()},
                     {"kind", pool.kind()},
                     {"device", pool.device()},
                     {"workers", std::move(workers)}});
  }
  return pools;
}

Json QuarantineJson(const v1::ServerStatusResponse& status) {
  Json requests = Json::array();
  for (const v1::QuarantinedRequest& request : status.quarantine()) {
    requests.push_back({{"model", request.model_name()},
                        {"version", request.model_version()},
                        {"fingerprint", request.fingerprint()},
                        {"seconds_left", request.seconds_left()},
                        {"refused", request.refused()}});
  }
  return requests;
}

std::string ColourState(const Style& style, const std::string& state) {
  return state == "READY" || state == "ready" ? style.Good(state) : style.Bad(Printable(state));
}

std::string RenderModels(const v1::ServerStatusResponse& status, const Style& style) {
  if (status.models().empty()) return "The server holds no models.\n";
  TextTable table({"MODEL", "VERSION", "STATE", "POOLS", "REQUESTS", "FAILED", "QUEUED", "REASON"});
  for (const v1::ModelStatus& model : status.models()) {
    table.AddRow({Printable(model.name()), model.version(), ColourState(style, model.state()),
                  absl::StrJoin(model.pools(), ","), absl::StrCat(model.requests()),
                  absl::StrCat(model.failures()), absl::StrCat(model.queued()),
                  Printable(model.reason())});
  }
  return table.Render(style);
}

std::string RenderPools(const v1::ServerStatusResponse& status, const Style& style) {
  TextTable table({"POOL", "SERVES", "DEVICE", "WORKER", "STATE", "PID", "LANES", "MEMORY",
                   "RESTARTS", "LAST EXIT"});
  for (const v1::PoolStatus& pool : status.pools()) {
    for (const v1::WorkerStatus& worker : pool.workers()) {
      table.AddRow({pool.name(), pool.kind(), pool.device(), worker.name(),
                    ColourState(style, worker.state()), absl::StrCat(worker.pid()),
                    absl::StrCat(worker.lanes()),
                    absl::StrFormat("%.0f MB", static_cast<double>(worker.resident_bytes()) / 1e6),
                    absl::StrCat(worker.restarts()), Printable(worker.last_exit())});
    }
  }
  return table.Render(style);
}

// What a batch is predicted to take. Empty where nothing ran yet.
std::string RenderCosts(const v1::ServerStatusResponse& status, const Style& style) {
  TextTable table({"MODEL", "VERSION", "POOL", "A BATCH", "AND EACH ROW", "ERROR P50", "P90", "P99",
                   "LEARNT FROM"});
  bool any = false;
  for (const v1::ModelStatus& model : status.models()) {
    for (const v1::PoolCost& cost : model.costs()) {
      any = true;
      table.AddRow({Printable(model.name()), model.version(), Printable(cost.pool()),
                    absl::StrFormat("%.3f ms", cost.alpha_us() / 1e3),
                    absl::StrFormat("%.3f ms", cost.beta_us() / 1e3),
                    absl::StrFormat("%+.0f %%", (cost.error_p50() - 1) * 100),
                    absl::StrFormat("%+.0f %%", (cost.error_p90() - 1) * 100),
                    absl::StrFormat("%+.0f %%", (cost.error_p99() - 1) * 100),
                    absl::StrCat(cost.batches())});
    }
  }
  return any ? absl::StrCat("\nPredicted times:\n", table.Render(style)) : "";
}

std::string RenderQuarantine(const v1::ServerStatusResponse& status, const Style& style) {
  if (status.quarantine().empty()) return "No request is refused.\n";
  TextTable table({"MODEL", "VERSION", "FINGERPRINT", "FOR ANOTHER", "REFUSED"});
  for (const v1::QuarantinedRequest& request : status.quarantine()) {
    table.AddRow(
        {Printable(request.model_name()), request.model_version(), Printable(request.fingerprint()),
         absl::StrFormat("%.0f s", request.seconds_left()), absl::StrCat(request.refused())});
  }
  return table.Render(style);
}

int RunModels(const ConnectionOptions& options) {
  InferenceClient client(options.ToClientOptions());
  const absl::StatusOr<v1::ServerStatusResponse> status = client.ServerStatus();
  if (!status.ok()) return Report(status.status(), client, options.json);
  const std::string text = options.json ? DumpJson({{"models", ModelsJson(*status)}}) + "\n"
                                        : RenderModels(*status, Style::For(stdout));
  std::fputs(text.c_str(), stdout);
  return kExitOk;
}

int RunStatus(const ConnectionOptions& options) {
  InferenceClient client(options.ToClientOptions());
  const absl::StatusOr<v1::ServerStatusResponse> status = client.ServerStatus();
  if (!status.ok()) return Report(status.status(), client, options.json);
  const absl::StatusOr<bool> ready = client.ServerReady();
  if (!ready.ok()) return Report(ready.status(), client, options.json);
  if (options.json) {
    std::puts(DumpJson({{"version", status->version()},
                        {"uptime_seconds", status->uptime_seconds()},
                        {"ready", *ready},
                        {"pools", PoolsJson(*status)},
                        {"models", ModelsJson(*status)},
                        {"quarantine", QuarantineJson(*status)}})
                  .c_str());
  } else {
    const Style style = Style::For(stdout);
    std::printf("tandem %s at %s, up %.0f s, %s\n\n%s\n%s%s", Printable(status->version()).c_str(),
                client.target().c_str(), status->uptime_seconds(),
                (*ready ? style.Good("ready") : style.Bad("not ready")).c_str(),
                RenderPools(*status, style).c_str(), RenderModels(*status, style).c_str(),
                RenderCosts(*status, style).c_str());
    if (!status->quarantine().empty()) {
      std::printf("\nRefused, since such a request ended two workers:\n%s",
                  RenderQuarantine(*status, style).c_str());
    }
  }
  return *ready ? kExitOk : kExitFailed;
}

int ListQuarantine(InferenceClient& client, bool json) {
  const absl::StatusOr<v1::ServerStatusResponse> status = client.ServerStatus();
  if (!status.ok()) return Report(status.status(), client, json);
  const std::string text = json ? DumpJson({{"quarantine", QuarantineJson(*status)}}) + "\n"
                                : RenderQuarantine(*status, Style::For(stdout));
  std::fputs(text.c_str(), stdout);
  return kExitOk;
}

int ClearQuarantine(InferenceClient& client, bool json) {
  const absl::StatusOr<v1::ClearQuarantineResponse> cleared = client.ClearQuarantine();
  if (!cleared.ok()) return Report(cleared.status(), client, json);
  const std::string text = json ? DumpJson({{"cleared", cleared->cleared()}})
                                : absl::StrCat("Taken again: ", cleared->cleared());
  std::puts(text.c_str());
  return kExitOk;
}

void Add(CLI::App& app, int& exit_code, const char* name, const char* description,
         const char* footer, int (*run)(const ConnectionOptions&)) {
  CLI::App* command = app.add_subcommand(name, description);
  const auto options = std::make_shared<ConnectionOptions>();
  AddConnectionOptions(*command, *options);
  command->footer(footer);
  command->callback([options, run, &exit_code] { exit_code = run(*options); });
}

}  // namespace

void AddModelsCommand(CLI::App& app, int& exit_code) {
  Add(app, exit_code, "models", "List the models of a server",
      "Examples:\n  tandem models\n  tandem models --json | jq -r '.models[] | select(.state != "
      "\"READY\")'\n\n"
      "Exit codes: 0 done, 1 failed, 2 bad usage, 3 no server.",
      &RunModels);
}

void AddStatusCommand(CLI::App& app, int& exit_code) {
  Add(app, exit_code, "status", "Show a server's pools, workers and models",
      "Examples:\n  tandem status\n  tandem status --target gpu-node:8001 --json\n\n"
      "Exit codes: 0 ready, 1 not ready, 2 bad usage, 3 no server.",
      &RunStatus);
}

void AddQuarantineCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "quarantine", "Show the requests that a server refuses, or take them again");
  const auto options = std::make_shared<ConnectionOptions>();
  const auto clear = std::make_shared<bool>(false);
  AddConnectionOptions(*command, *options);
  command->add_flag("--clear", *clear, "Take them again");
  command->footer(
      "A request that ended two workers, and those with equal inputs, are refused for a time.\n"
      "Examples:\n  tandem quarantine\n  tandem quarantine --clear\n\n"
      "Exit codes: 0 done, 1 failed, 2 bad usage, 3 no server.");
  command->callback([options, clear, &exit_code] {
    InferenceClient client(options->ToClientOptions());
    exit_code =
        *clear ? ClearQuarantine(client, options->json) : ListQuarantine(client, options->json);
  });
}

}  // namespace tandem::client
