#include "client/connection_options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/array_json.h"
#include "client/exit_code.h"
#include "client/text_table.h"

namespace tandem::client {
namespace {

constexpr double kShortestTimeout = 0.001;
constexpr double kLongestTimeout = 1e6;

void PrintError(const std::string& text) {
  std::fprintf(stderr, "%s %s\n", Style::For(stderr).Bad("tandem:").c_str(),
               Printable(text).c_str());
}

void PrintErrorJson(const absl::Status& status, bool json) {
  if (json) std::puts(DumpJson(ErrorJson(status)).c_str());
}

// Calls count milliseconds: less than one would be none, which is no limit.
std::string CheckTimeout(const std::string& text) {
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds) &&
      (seconds == 0 || (seconds >= kShortestTimeout && seconds <= kLongestTimeout))) {
    return "";
  }
  return absl::StrCat("\"", text, "\": expected seconds from 0.001 to 1000000, or 0 for no limit");
}

// What gRPC says of an empty name helps nobody.
std::string CheckTarget(const std::string& text) {
  return text.empty() ? "expected the host and port of a server's gRPC, such as 127.0.0.1:8001"
                      : "";
}

}  // namespace

ClientOptions ConnectionOptions::ToClientOptions() const {
  return {target, std::chrono::milliseconds(static_cast<int64_t>(timeout * 1000))};
}

void AddConnectionOptions(CLI::App& command, ConnectionOptions& options) {
  command.add_option("--target", options.target, "Host and port of the server's gRPC")
      ->envname("TANDEM_TARGET")
      ->check(CheckTarget)
      ->capture_default_str();
  command.add_option("--timeout", options.timeout, "Seconds that a call may take; 0: no limit")
      ->check(CheckTimeout)
      ->capture_default_str();
  command.add_flag("--json", options.json, "Print JSON for scripts");
}

int Report(const absl::Status& status, const InferenceClient& client, bool json) {
  if (absl::IsUnavailable(status) && !client.is_connected()) {
    const absl::Status unreachable = absl::UnavailableError(
        absl::StrCat("no server answers at ", client.target(),
                     "; start one with `tandem serve`, or name another with --target"));
    PrintError(std::string(unreachable.message()));
    PrintErrorJson(unreachable, json);
    return kExitUnreachable;
  }
  PrintError(absl::StrCat(absl::StatusCodeToString(status.code()), ": ",
                          absl::string_view(status.message())));
  PrintErrorJson(status, json);
  return kExitFailed;
}

int ReportUsage(const absl::Status& status, bool json) {
  PrintError(std::string(status.message()));
  PrintErrorJson(status, json);
  return kExitUsage;
}

nlohmann::json ErrorJson(const absl::Status& status) {
  return {{"error",
           {{"code", absl::StatusCodeToString(status.code())},
            {"message", std::string(status.message())}}}};
}

}  // namespace tandem::client
