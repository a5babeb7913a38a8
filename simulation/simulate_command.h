// `tandem simulate`.
#pragma once

namespace CLI {
class App;
}

namespace tandem::simulation {

// Adds the subcommand. It runs within app.parse() and leaves its exit code in `exit_code`: 0; 1
// where the memory does not suffice; 2 where the command line or a file is wrong.
void AddSimulateCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::simulation
