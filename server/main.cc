// The program `tandem`: the server and the client's commands.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/synchronization/mutex.h"
#include "client/commands.h"
#include "server/serve_command.h"
#include "simulation/simulate_command.h"

int main(int argc, char** argv) {
  // gRPC's own messages are not for people; what matters is told by us. Before it starts.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  // A library of Abseil that was built with its assertions, as Debian's, looks for cycles of locks
  // at every lock, gRPC's among them: a tenth of the instructions of a small request, behind a lock
  // that all threads wait for.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CLI::App app("Tandem serves models on CPU and GPU pools at the same time.", "tandem");
  app.require_subcommand(1);
  int exit_code = 0;
  tandem::server::AddServeCommand(app, exit_code);
  tandem::client::AddClientCommands(app, exit_code);
  tandem::simulation::AddSimulateCommand(app, exit_code);
  const absl::Status known = tandem::client::CheckCommand(app, argc > 1 ? argv[1] : "");
  if (!known.ok()) {
    std::fprintf(stderr, "tandem: %s\n", std::string(known.message()).c_str());
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "tandem: %s\n", error.what());
    return 2;
  }
  return exit_code;
}
