// The options that every command that talks to a server has.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "client/inference_client.h"

namespace CLI {
class App;
}

namespace tandem::client {

struct ConnectionOptions {
  std::string target = "127.0.0.1:8001";
  // Seconds for one call. 0: no limit.
  double timeout = 30;
  bool json = false;

  ClientOptions ToClientOptions() const;
};

// Adds --target, --timeout and --json, which write to `options` at the parse.
void AddConnectionOptions(CLI::App& command, ConnectionOptions& options);

// Writes what went wrong to stderr, and with `json` to stdout too, as ErrorJson in a line. Returns
// the exit code that says so.
int Report(const absl::Status& status, const InferenceClient& client, bool json);

// For what the command line got wrong beyond what its parser sees.
int ReportUsage(const absl::Status& status, bool json = false);

// What scripts read of a command that failed: {"error": {"code": "UNAVAILABLE", "message": "…"}}.
nlohmann::json ErrorJson(const absl::Status& status);

}  // namespace tandem::client
