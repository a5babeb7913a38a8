// `tandem export`: hands its words to the Python program that compiles models.
#pragma once

namespace CLI {
class App;
}

namespace tandem::client {

// Adds the subcommand; its callback becomes the Python program, or sets `exit_code` where it
// cannot.
void AddExportCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::client
