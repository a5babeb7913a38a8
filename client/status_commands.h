// `tandem models` and `tandem status`: what the server holds.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// See AddClientCommands.
void AddModelsCommand(CLI::App& app, int& exit_code);
void AddStatusCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::client
