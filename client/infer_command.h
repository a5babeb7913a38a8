// `tandem infer`: one request to one model.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// See AddClientCommands.
void AddInferCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::client
