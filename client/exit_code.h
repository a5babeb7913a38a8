// What the program's exit code tells a script.
#pragma once

namespace tandem::client {

enum ExitCode : int {
  kExitOk = 0,
  // The request, or rows of the data set, failed.
  kExitFailed = 1,
  // The command line is wrong, or names files that cannot be used. main() returns it for
  // CLI::ParseError too.
  kExitUsage = 2,
  // The server could not be reached, or was lost.
  kExitUnreachable = 3,
  // Stopped by SIGINT or SIGTERM.
  kExitInterrupted = 130,
};

}  // namespace tandem::client
