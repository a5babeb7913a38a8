// `tandem predict`: one request to many models, or a data set streamed through them.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// See AddClientCommands.
void AddPredictCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::client
