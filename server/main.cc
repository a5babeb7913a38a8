// The program `tandem`: the server and the client's commands.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/synchronization/mutex.h"
#include "client/commands.h"
#include "client/connection_options.h"
#include "client/exit_code.h"
#include "server/grpc_messages.h"
#include "server/serve_command.h"
#include "simulation/simulate_command.h"

namespace {

using tandem::client::ReportUsage;

// Where the program was started with one of them closed, the next file or connection would take
// its number, and what is printed would go there. Of a closed stdout the end then tells.
void KeepStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
  }
}

// The exit code, once it is known whether what the command printed could be written.
int Flushed(int exit_code) {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0) return exit_code;
  std::fprintf(stderr, "tandem: stdout cannot be written%s%s\n", errno != 0 ? ": " : "",
               errno != 0 ? std::strerror(errno) : "");
  return exit_code == tandem::client::kExitOk ? tandem::client::kExitFailed : exit_code;
}

int Run(int argc, char** argv) {
  CLI::App app("Tandem serves models on CPU and GPU pools at the same time.", "tandem");
  app.require_subcommand(1);
  int exit_code = 0;
  tandem::server::AddServeCommand(app, exit_code);
  tandem::client::AddClientCommands(app, exit_code);
  tandem::simulation::AddSimulateCommand(app, exit_code);
  // Asked before the command line is understood.
  const bool json = std::any_of(argv, argv + argc,
                                [](const char* word) { return word == std::string("--json"); });
  const absl::Status known = tandem::client::CheckCommand(app, argc > 1 ? argv[1] : "");
  if (!known.ok()) return ReportUsage(known, json);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return ReportUsage(absl::InvalidArgumentError(error.what()), json);
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  KeepStandardStreams();
  tandem::server::QuietGrpc();
  // A library of Abseil that was built with its assertions, as Debian's, looks for cycles of locks
  // at every lock, gRPC's among them: a tenth of the instructions of a small request, behind a lock
  // that all threads wait for.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return Flushed(Run(argc, argv));
}
