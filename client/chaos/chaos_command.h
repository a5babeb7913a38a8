// `tandem chaos`: faults, caused under a load whose every answer is checked.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// As commands.h says.
void AddChaosCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::client
