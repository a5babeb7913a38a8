#include "client/connection_options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "client/exit_code.h"
#include "client/text_table.h"

namespace tandem::client {
namespace {

void PrintError(const std::string& text) {
  std::fprintf(stderr, "%s %s\n", Style::For(stderr).Bad("tandem:").c_str(),
               Printable(text).c_str());
}

}  // namespace

ClientOptions ConnectionOptions::ToClientOptions() const {
  return {target, std::chrono::milliseconds(static_cast<int64_t>(timeout * 1000))};
}

void AddConnectionOptions(CLI::App& command, ConnectionOptions& options) {
  command.add_option("--target", options.target, "Host and port of the server's gRPC")
      ->envname("TANDEM_TARGET")
      ->capture_default_str();
  command.add_option("--timeout", options.timeout, "Seconds that a call may take; 0: no limit")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command.add_flag("--json", options.json, "Print JSON for scripts");
}

int Report(const absl::Status& status, const InferenceClient& client) {
  if (absl::IsUnavailable(status) && !client.is_connected()) {
    PrintError(absl::StrCat("no server answers at ", client.target(),
                            "; start one with `tandem serve`, or name another with --target"));
    return kExitUnreachable;
  }
  PrintError(absl::StrCat(absl::StatusCodeToString(status.code()), ": ",
                          absl::string_view(status.message())));
  return kExitFailed;
}

int ReportUsage(const absl::Status& status) {
  PrintError(std::string(status.message()));
  return kExitUsage;
}

}  // namespace tandem::client
