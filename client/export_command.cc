#include "client/export_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "client/exit_code.h"
#include "client/export_script.h"

namespace tandem::client {
namespace {

// Returns where there is no such Python.
int BecomePython(const std::vector<std::string>& words) {
  const char* chosen = std::getenv("TANDEM_PYTHON");
  const std::string python = chosen != nullptr && *chosen != '\0' ? chosen : "python3";
  std::vector<const char*> arguments = {python.c_str(), "-c", kExportScript.data()};
  for (const std::string& word : words) arguments.push_back(word.c_str());
  arguments.push_back(nullptr);
  // execvp's signature is older than const.
  execvp(python.c_str(), const_cast<char* const*>(arguments.data()));
  std::fprintf(stderr,
               "tandem: export runs in a Python that has PyTorch, and \"%s\" cannot be run: %s; "
               "name one with TANDEM_PYTHON=/path/to/python\n",
               python.c_str(), std::strerror(errno));
  return kExitUsage;
}

}  // namespace

void AddExportCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "export", "Compile a PyTorch model to a version of a repository (runs your Python)");
  // All words, --help too, are the Python program's.
  command->set_help_flag();
  command->prefix_command();
  command->callback([command, &exit_code] { exit_code = BecomePython(command->remaining()); });
}

}  // namespace tandem::client
