#include "client/chaos/chaos_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/array_json.h"
#include "client/chaos/chaos_models.h"
#include "client/chaos/chaos_run.h"
#include "client/chaos/server_child.h"
#include "client/connection_options.h"
#include "client/dataset/signal_watcher.h"
#include "client/exit_code.h"
#include "client/number_range.h"
#include "client/scratch_directory.h"
#include "client/text_table.h"

namespace tandem::client {
namespace {

constexpr char kChaosFooter[] =
    "Starts a server of its own with two workers and synthetic models; or takes --target, which is "
    "a server on this machine with the models of --write-models and --log-format=json.\n\n"
    "Examples:\n"
    "  tandem chaos --seed 7 --duration 60s\n"
    "  tandem chaos --faults kill --fault-rate 3 --json | tail -n 1 | jq .worker_deaths\n"
    "  tandem chaos --write-models models\n"
    "  tandem serve --model-repository=models --log-format=json 2> log &\n"
    "  tandem chaos --target 127.0.0.1:8001 --server-log log\n\n"
    "Exit codes: 0 passed; 1 requests were lost, or answered wrong or twice, the server died, "
    "leaks, or did not recover; 2 bad usage, or --target lacks the models; 3 no server.";

constexpr std::chrono::seconds kStopGrace(60);

struct ChaosCommandOptions {
  uint64_t seed = 1;
  std::string duration = "300s";
  std::string settle = "60s";
  std::string faults = "kill,segv,stop,hang,garbage,poison";
  double fault_rate = 0.5;
  double rate = 500;
  std::string target;
  std::string server_log;
  std::string server = "/proc/self/exe";
  std::string worker;
  int processes = 2;
  int lanes = 2;
  std::string write_models;
  bool json = false;
};

absl::StatusOr<std::chrono::nanoseconds> ParseTime(const char* option, const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::Seconds(1) ||
      duration > absl::Hours(24 * 7)) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", text, ": expected a time from 1s to 168h, such as 300s"));
  }
  return absl::ToChronoNanoseconds(duration);
}

absl::StatusOr<ChaosRunOptions> ToRunOptions(const ChaosCommandOptions& options) {
  const absl::StatusOr<std::chrono::nanoseconds> duration =
      ParseTime("--duration", options.duration);
  if (!duration.ok()) return duration.status();
  const absl::StatusOr<std::chrono::nanoseconds> settle = ParseTime("--settle", options.settle);
  if (!settle.ok()) return settle.status();
  absl::StatusOr<std::vector<FaultKind>> kinds = ParseFaultKinds(options.faults);
  if (!kinds.ok()) return kinds.status();
  return ChaosRunOptions{options.seed, *std::move(kinds), options.fault_rate,
                         options.rate, *duration,         *settle};
}

int Tell(const absl::StatusOr<ChaosResult>& result, bool json, bool interrupted,
         const InferenceClient& client) {
  if (absl::IsFailedPrecondition(result.status())) return ReportUsage(result.status(), json);
  if (!result.ok()) return Report(result.status(), client, json);
  std::fputs(Render(*result, Style::For(stdout)).c_str(), stdout);
  if (json) std::puts(ToJson(*result).dump().c_str());
  if (!Passed(*result)) return kExitFailed;
  return interrupted ? kExitInterrupted : kExitOk;
}

int RunOn(const ChaosCommandOptions& options, const ChaosRunOptions& run,
          const ServerUnderTest& server, const Interruption& interruption) {
  const InferenceClient client({server.target});
  std::printf("%zu faults in %s against %s, seed %llu\n\n", PlanOf(run).size(),
              options.duration.c_str(), server.target.c_str(),
              static_cast<unsigned long long>(run.seed));
  std::fflush(stdout);
  const absl::StatusOr<ChaosResult> result = RunChaos(run, server, interruption);
  return Tell(result, options.json, interruption.interrupted(), client);
}

int RunOnTarget(const ChaosCommandOptions& options, const ChaosRunOptions& run,
                const Interruption& interruption) {
  InferenceClient client({options.target});
  const absl::StatusOr<pid_t> pid = FindServer(client);
  if (absl::IsFailedPrecondition(pid.status())) return ReportUsage(pid.status(), options.json);
  if (!pid.ok()) return Report(pid.status(), client, options.json);
  return RunOn(options, run, {options.target, *pid, options.server_log}, interruption);
}

int RunOnOwnServer(const ChaosCommandOptions& options, const ChaosRunOptions& run,
                   const Interruption& interruption) {
  const ScratchDirectory folder("tandem-chaos");
  const std::string models = folder.path() + "/models";
  if (folder.path().empty())
    return ReportUsage(absl::InvalidArgumentError("no temporary folder can be made"), options.json);
  if (absl::Status status = WriteChaosModels(models); !status.ok())
    return ReportUsage(status, options.json);
  ServerChildOptions child;
  std::error_code error;
  child.program = std::filesystem::canonical(options.server, error).string();
  if (error) {
    return ReportUsage(absl::InvalidArgumentError(
                           absl::StrCat("--server ", options.server, ": there is no such program")),
                       options.json);
  }
  child.worker_program = options.worker;
  child.model_repository = models;
  child.port_file = folder.path() + "/ports";
  child.log_file = options.server_log.empty() ? folder.path() + "/log" : options.server_log;
  child.processes = options.processes;
  child.lanes = options.lanes;
  const absl::StatusOr<std::unique_ptr<ServerChild>> server = ServerChild::Start(child);
  if (absl::IsInvalidArgument(server.status())) return ReportUsage(server.status(), options.json);
  if (!server.ok()) {
    ReportUsage(server.status(), options.json);
    return kExitUnreachable;
  }
  const int code =
      RunOn(options, run, {(*server)->target(), (*server)->pid(), child.log_file}, interruption);
  if ((*server)->Stop(kStopGrace) || code != kExitOk) return code;
  std::fputs("tandem: the server did not end well when it was asked to\n", stderr);
  return kExitFailed;
}

int Run(const ChaosCommandOptions& options) {
  if (!options.write_models.empty()) {
    const absl::Status written = WriteChaosModels(options.write_models);
    return written.ok() ? static_cast<int>(kExitOk) : ReportUsage(written, options.json);
  }
  const absl::StatusOr<ChaosRunOptions> run = ToRunOptions(options);
  if (!run.ok()) return ReportUsage(run.status(), options.json);
  Interruption interruption;
  SignalWatcher signals;
  signals.Set([&interruption] { interruption.Interrupt(); });
  const int code = options.target.empty() ? RunOnOwnServer(options, *run, interruption)
                                          : RunOnTarget(options, *run, interruption);
  signals.Set(nullptr);
  return code;
}

void AddServerOptions(CLI::App& command, ChaosCommandOptions& options) {
  CLI::Option* target = command.add_option(
      "--target", options.target, "A server that runs on this machine, by host and port of gRPC");
  command.add_option("--server-log", options.server_log,
                     "File of the server's log: an own server writes it, --target's is read. "
                     "Without it the times of --target's workers are not known");
  command.add_option("--server", options.server, "Program of an own server")
      ->excludes(target)
      ->capture_default_str();
  command.add_option("--worker", options.worker, "Program of an own server's workers")
      ->excludes(target);
  command.add_option("--processes", options.processes, "Workers of an own server")
      ->check(CLI::Range(1, 64))
      ->excludes(target)
      ->capture_default_str();
  command.add_option("--lanes", options.lanes, "Lanes of each of its workers")
      ->check(CLI::Range(1, 64))
      ->excludes(target)
      ->capture_default_str();
  command.add_option("--write-models", options.write_models,
                     "Write the models that --target is to serve into a folder, and do no more");
}

}  // namespace

void AddChaosCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("chaos", "Cause faults under load and check every answer");
  const auto options = std::make_shared<ChaosCommandOptions>();
  command->add_option("--seed", options->seed, "Same seed, same faults")
      ->check(CheckSeed)
      ->capture_default_str();
  command->add_option("--duration", options->duration, "Of the run; a tenth of it is quiet")
      ->capture_default_str();
  command
      ->add_option("--settle", options->settle,
                   "After it, for workers to come back and the server to give back what it holds")
      ->capture_default_str();
  command->add_option("--faults", options->faults, "Kinds of faults, with commas between them")
      ->capture_default_str();
  command->add_option("--fault-rate", options->fault_rate, "Faults a second")
      ->check(NumberFrom(0.001, 100.0))
      ->capture_default_str();
  command->add_option("--rate", options->rate, "Requests a second")
      ->check(NumberFrom(1.0, 1e5))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print the result as JSON too, as the last line");
  AddServerOptions(*command, *options);
  command->footer(kChaosFooter);
  command->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace tandem::client
