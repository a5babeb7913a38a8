// `tandem serve`.
#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace tandem::server {

// Adds the subcommand. Where the command line names it, it runs within app.parse() and leaves its
// exit code: 0 after SIGTERM or SIGINT, 1 where the server cannot run (a port is taken, a worker
// does not start), 2 where it was told something wrong. `exit_code` is used until app.parse()
// returns.
void AddServeCommand(CLI::App& app, int& exit_code);

}  // namespace tandem::server
