// The client's half of the `tandem` program: predict, infer, bench, models, status,
// completion.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// Adds the subcommands. The one that the command line names runs within app.parse() and leaves its
// exit code (exit_code.h) in `exit_code`; it throws nothing but CLI::ParseError, for a wrong
// command line. `app` and `exit_code` are used until app.parse() returns.
void AddClientCommands(CLI::App& app, int& exit_code);

}  // namespace tandem::client
