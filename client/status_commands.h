// `tandem models`, `tandem status` and `tandem quarantine`: what the server holds, and refuses.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// See AddClientCommands.
void AddModelsCommand(CLI::App& app, int& exit_code);
void AddStatusCommand(CLI::App& app, int& exit_code);
void AddQuarantineCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::client
