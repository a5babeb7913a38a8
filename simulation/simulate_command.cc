#include "simulation/simulate_command.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/file_text.h"
#include "core/printable.h"
#include "simulation/experiment.h"
#include "simulation/plot.h"
#include "simulation/shipped_scenarios.h"

namespace tandem::simulation {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct Options {
  std::string scenario;
  std::string plot;
  uint64_t requests = 0;
  bool json = false;
  bool list = false;
};

absl::StatusOr<Scenario> LoadScenario(const std::string& name) {
  for (const ShippedScenario& shipped : ShippedScenarios()) {
    if (shipped.name == name) return ParseScenario(shipped.json, name, ".");
  }
  const absl::StatusOr<std::string> text = ReadFileText(name);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(
        "no such file, and no scenario of that name comes along; see tandem simulate --list");
  }
  if (!text.ok()) return text.status();
  const std::filesystem::path path(name);
  return ParseScenario(*text, path.stem().string(),
                       path.parent_path().empty() ? "." : path.parent_path().string());
}

absl::Status List(bool json) {
  nlohmann::json list = nlohmann::json::array();
  for (const ShippedScenario& shipped : ShippedScenarios()) {
    const absl::StatusOr<Scenario> scenario =
        ParseScenario(shipped.json, std::string(shipped.name), ".");
    if (!scenario.ok()) return scenario.status();
    if (json) {
      list.push_back({{"name", scenario->name}, {"about", scenario->about}});
    } else {
      std::printf("%-20s %s\n", Printable(scenario->name).c_str(),
                  Printable(scenario->about).c_str());
    }
  }
  if (json) std::puts(list.dump().c_str());
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  if (options.list) return List(options.json);
  if (options.scenario.empty()) {
    return absl::InvalidArgumentError("--scenario is required; see tandem simulate --list");
  }
  absl::StatusOr<Scenario> scenario = LoadScenario(options.scenario);
  const auto named = [&](const absl::Status& status) {
    return absl::Status(status.code(),
                        absl::StrCat("scenario '", options.scenario, "': ", status.message()));
  };
  if (!scenario.ok()) return named(scenario.status());
  if (options.requests > 0) scenario->requests = options.requests;
  std::ofstream plot;
  if (!options.plot.empty()) plot.open(options.plot);
  const absl::Status unwritable =
      absl::UnavailableError(absl::StrCat("--plot=", options.plot, ": the file cannot be written"));
  // Told before the simulation, which may take minutes.
  if (!plot) return unwritable;
  const auto started = std::chrono::steady_clock::now();
  const absl::StatusOr<Experiment> experiment = RunExperiment(*std::move(scenario));
  if (!experiment.ok()) return named(experiment.status());
  const double seconds = ToSeconds(std::chrono::steady_clock::now() - started);
  const std::string text = options.json ? ToJson(*experiment) : ToTable(*experiment);
  std::fputs(text.c_str(), stdout);
  // Beside the data: a program reads stdout.
  std::fprintf(stderr, "%s",
               absl::StrFormat("\n%d requests simulated in %.2f s on one core, "
                               "%.1f million a minute\n",
                               experiment->requests, seconds,
                               static_cast<double>(experiment->requests) / seconds * 60 / 1e6)
                   .c_str());
  if (options.plot.empty()) return absl::OkStatus();
  plot << PlotSvg(*experiment);
  plot.close();
  return plot ? absl::OkStatus() : unwritable;
}

// How much a scenario needs depends on how many requests wait at once, which nobody knows before.
absl::Status RunInMemory(const Options& options) {
  try {
    return Run(options);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        "there is not enough memory for the simulation; ask for fewer with --requests");
  }
}

}  // namespace

void AddSimulateCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "simulate", "Play traffic against the router in virtual time, beside other ways to schedule");
  const auto options = std::make_shared<Options>();
  command->add_option("--scenario", options->scenario,
                      "A JSON file, or the name of a scenario that comes along");
  command
      ->add_option("--requests", options->requests, "Requests for each load (default: the file's)")
      ->check(CLI::Range(uint64_t{1}, kMostRequests));
  command->add_option("--plot", options->plot,
                      "Write goodput and p99 over load as SVG to this file");
  command->add_flag("--json", options->json,
                    "Print JSON: an object for each policy and load, or scenario");
  command->add_flag("--list", options->list, "Name the scenarios that come along");
  command->footer(
      "Examples:\n  tandem simulate --list\n"
      "  tandem simulate --scenario bursty_1_to_5 --plot bursty.svg");
  command->callback([options, &exit_code] {
    const absl::Status status = RunInMemory(*options);
    if (status.ok()) return;
    std::fprintf(stderr, "tandem: %s\n", std::string(status.message()).c_str());
    if (options->json) {
      // As the client's commands do.
      const nlohmann::json error = {{"code", absl::StatusCodeToString(status.code())},
                                    {"message", std::string(status.message())}};
      std::puts(nlohmann::json{{"error", error}}
                    .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                    .c_str());
    }
    exit_code = absl::IsResourceExhausted(status) ? kExitFailed : kExitUsage;
  });
}

}  // namespace tandem::simulation
