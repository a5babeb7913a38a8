#include "server/take_over.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/file_text.h"
#include "server/port_sharing.h"

namespace tandem::server {
namespace {

constexpr Duration kLongestWait = std::chrono::seconds(5);
constexpr Duration kServeOutPoll = std::chrono::milliseconds(100);
// Connections that were being made when the others began to go to the new server.
constexpr Duration kLeastTime = std::chrono::seconds(1);

std::array<uint16_t, 3> All(const Ports& ports) { return {ports.grpc, ports.http, ports.metrics}; }

absl::Status Refusal(const std::string& port_file, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--take-over=", port_file, ": ", why));
}

}  // namespace

absl::StatusOr<RunningServer> FindRunningServer(const std::string& port_file) {
  const absl::StatusOr<std::string> text = ReadFileText(port_file);
  if (!text.ok()) {
    return Refusal(port_file,
                   absl::StrCat(text.status().message(), "; expected the --port-file of a server"));
  }
  const nlohmann::json file = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  RunningServer server;
  const auto read = [&file](const char* name, auto& number) {
    if (!file.is_object() || !file.contains(name) || !file[name].is_number_unsigned()) return false;
    number = file[name].get<std::remove_reference_t<decltype(number)>>();
    return number > 0;
  };
  if (!read("pid", server.process) || !read("grpc", server.ports.grpc) ||
      !read("http", server.ports.http) || !read("metrics", server.ports.metrics)) {
    return Refusal(port_file, "it is not the --port-file of a server");
  }
  for (const uint16_t port : All(server.ports)) {
    if (ListensOn(server.process, port)) continue;
    return Refusal(port_file,
                   absl::StrCat("process ", server.process, " does not listen on port ", port,
                                ", or belongs to somebody else; is its server still there?"));
  }
  return server;
}

absl::Status TakePorts(const RunningServer& old, const std::string& address,
                       const std::function<absl::Status()>& listen, const LogSink& log) {
  if (kill(old.process, SIGUSR2) != 0) {
    return absl::UnavailableError(
        absl::StrCat("the server of process ", old.process,
                     " cannot be asked to share its ports: ", strerrordesc_np(errno)));
  }
  std::vector<size_t> others;
  for (const uint16_t port : All(old.ports)) {
    if (absl::Status shared = AwaitSharedPort(address, port, kLongestWait); !shared.ok()) {
      return shared;
    }
    others.push_back(ListenersOn(port));
  }
  if (absl::Status listening = listen(); !listening.ok()) return listening;
  for (size_t i = 0; i < others.size(); ++i) {
    const absl::Status steered = SteerToSelf(All(old.ports)[i], others[i]);
    if (!steered.ok()) log(LogLevel::kWarning, std::string(steered.message()));
  }
  return absl::OkStatus();
}

void Dismiss(const RunningServer& old) { kill(old.process, SIGTERM); }

absl::Status SharePorts(const Ports& ports) {
  for (const uint16_t port : All(ports)) {
    if (absl::Status shared = SharePort(port); !shared.ok()) return shared;
  }
  return absl::OkStatus();
}

bool AreTakenOver(const Ports& ports) {
  return ListenersOn(ports.grpc) > OwnListenersOn(ports.grpc);
}

void ServeOut(const Ports& ports, Duration longest, const std::function<bool(Duration)>& is_over) {
  const auto start = std::chrono::steady_clock::now();
  Duration passed{0};
  while (passed < std::max(longest, kLeastTime) && !is_over(kServeOutPoll)) {
    passed = std::chrono::steady_clock::now() - start;
    if (passed < kLeastTime) continue;
    if (OwnConnectionsOn(ports.grpc) + OwnConnectionsOn(ports.http) == 0) return;
  }
}

}  // namespace tandem::server
