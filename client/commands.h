// The client's half of the `tandem` program: predict, infer, bench, chaos, models, status,
// quarantine, completion, version.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace CLI {
class App;
}

namespace tandem::client {

// Adds the subcommands. The one that the command line names runs within app.parse() and leaves its
// exit code (exit_code.h) in `exit_code`; it throws nothing but CLI::ParseError, for a wrong
// command line. `app` and `exit_code` are used until app.parse() returns.
void AddClientCommands(CLI::App& app, int& exit_code);

// INVALID_ARGUMENT, with the choices, where a command line that begins with `word` names no command
// or option of the app, or is empty: CLI11 would say that a subcommand is required.
absl::Status CheckCommand(const CLI::App& app, const std::string& word);

}  // namespace tandem::client
