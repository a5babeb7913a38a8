// `tandem bench`: a load on one model, measured.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// As commands.h says.
void AddBenchCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::client
