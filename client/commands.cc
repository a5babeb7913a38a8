#include "client/commands.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/array_json.h"
#include "client/bench/bench_command.h"
#include "client/chaos/chaos_command.h"
#include "client/completion.h"
#include "client/exit_code.h"
#include "client/export_command.h"
#include "client/infer_command.h"
#include "client/predict_command.h"
#include "client/status_commands.h"
#include "client/tune/tune_command.h"
#include "core/version.h"

namespace tandem::client {
namespace {

void AddCompletionCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for a shell");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer("Example:\n  source <(tandem completion bash)");
  command->callback([&app, &exit_code, shell] {
    const absl::StatusOr<std::string> script = CompletionScript(app, *shell);
    if (!script.ok()) {
      std::fprintf(stderr, "tandem: %s\n", std::string(script.status().message()).c_str());
      exit_code = kExitUsage;
      return;
    }
    std::fputs(script->c_str(), stdout);
    exit_code = kExitOk;
  });
}

void AddVersionCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print JSON for scripts");
  command->callback([&exit_code, json] {
    const std::string version(Version());
    const std::string text =
        *json ? DumpJson({{"version", version}}) : absl::StrCat("tandem ", version);
    std::puts(text.c_str());
    exit_code = kExitOk;
  });
}

}  // namespace

void AddClientCommands(CLI::App& app, int& exit_code) {
  AddPredictCommand(app, exit_code);
  AddInferCommand(app, exit_code);
  AddBenchCommand(app, exit_code);
  AddChaosCommand(app, exit_code);
  AddModelsCommand(app, exit_code);
  AddStatusCommand(app, exit_code);
  AddQuarantineCommand(app, exit_code);
  AddTuneCommand(app, exit_code);
  AddExportCommand(app, exit_code);
  AddCompletionCommand(app, exit_code);
  AddVersionCommand(app, exit_code);
  app.set_version_flag("--version", absl::StrCat("tandem ", std::string(Version())),
                       "Print the version");
}

absl::Status CheckCommand(const CLI::App& app, const std::string& word) {
  if (!word.empty() && word.front() == '-') {
    if (app.get_option_no_throw(word) != nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "no such option '", word, "' before the command; see ", app.get_name(), " --help"));
  }
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->check_name(word)) return absl::OkStatus();
    names.push_back(command->get_name());
  }
  return absl::InvalidArgumentError(
      absl::StrCat(word.empty() ? "give a command" : absl::StrCat("no such command '", word, "'"),
                   "; the commands are ", absl::StrJoin(names, ", ")));
}

}  // namespace tandem::client
