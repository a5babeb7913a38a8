// Shell completion, written from the program's own description of its commands, so that it never
// lags behind.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace CLI {
class App;
}

namespace tandem::client {

// A script for "bash", "zsh" or "fish" that completes the app's subcommands, their options and,
// where an option takes one of a few words, these. INVALID_ARGUMENT for another shell.
absl::StatusOr<std::string> CompletionScript(const CLI::App& app, const std::string& shell);

}  // namespace tandem::client
