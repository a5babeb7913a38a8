// `tandem tune`: finds lanes, threads and batch size for a model by trying them.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// Adds the subcommand, whose callback sets `exit_code`.
void AddTuneCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::client
