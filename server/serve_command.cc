#include "server/serve_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/serve_options.h"
#include "server/serve_settings.h"
#include "server/server_process.h"

namespace tandem::server {
namespace {

constexpr char kPoolHelp[] =
    "A pool: NAME=device:cpu,serves:cpu,processes:1,lanes:2,express:1,threads:1,cores:0-1,"
    "input_arena:256MiB,output_arena:256MiB,memory:2GiB,nice:10,cpu_share:100 (on a GPU also "
    "device_memory:6GiB). Repeatable; what is "
    "left out has a "
    "default";

constexpr char kFooter[] =
    "Each flag can be set in the environment too, as in TANDEM_GRPC_PORT=9001.\n"
    "Examples:\n"
    "  tandem serve --model-repository models\n"
    "  tandem serve --model-repository models --pool=cpu=device:cpu,lanes:4 "
    "--pool=gpu=device:gpu:0";

int Serve(const ServeFlags& flags) {
  const Environment environment = [](const std::string& name) { return std::getenv(name.c_str()); };
  const OptionsReader resolve = [&flags, &environment, machine = FindMachine()] {
    return ResolveServeOptions(flags, environment, machine);
  };
  const absl::StatusOr<ServeOptions> options = resolve();
  if (!options.ok()) {
    std::fprintf(stderr, "tandem: %s\n", std::string(options.status().message()).c_str());
    return 2;
  }
  return RunServer(*options, resolve);
}

}  // namespace

void AddServeCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "Serve the models of a repository");
  command->footer(kFooter);
  // Shared by the callback and the options that fill it.
  const auto flags = std::make_shared<ServeFlags>();
  for (const Setting& setting : Settings()) {
    command
        ->add_option_function<std::string>(
            absl::StrCat("--", setting.name),
            [flags, name = setting.name](const std::string& value) {
              flags->settings[name] = value;
            },
            setting.help)
        ->type_name(setting.value_name)
        ->take_last();
  }
  command->add_option("--config", flags->config, "Configuration file in protobuf's text format")
      ->type_name("FILE")
      ->take_last();
  command->add_option("--pool", flags->pools, kPoolHelp)
      ->type_name("POOL")
      ->expected(1)
      ->take_all();
  command->callback([flags, &exit_code] { exit_code = Serve(*flags); });
}

}  // namespace tandem::server
