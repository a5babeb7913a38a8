#include "server/take_over.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/file_text.h"
#include "server/port_sharing.h"

namespace tandem::server {
namespace {

constexpr Duration kLongestWait = std::chrono::seconds(5);
constexpr Duration kServeOutPoll = std::chrono::milliseconds(100);
// For connections that were being made when the others began to go to the new server.
constexpr Duration kLastConnections = std::chrono::seconds(1);
// For the server before the old one to leave the ports, with room for a machine that is busy.
constexpr Duration kLongestLeave = 10 * kLastConnections;
constexpr Duration kLeavePoll = std::chrono::milliseconds(20);

std::array<uint16_t, 3> All(const Ports& ports) { return {ports.grpc, ports.http, ports.metrics}; }

absl::Status Refusal(const std::string& port_file, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--take-over=", port_file, ": ", why));
}

// Waits until nobody but the old server listens on the port. A third one may still do that which
// the old one has taken over from: where it leaves later, the kernel numbers the sockets anew, and
// new connections go to a server that is about to end.
absl::Status AwaitSoleListener(const RunningServer& old, uint16_t port) {
  const auto end = std::chrono::steady_clock::now() + kLongestLeave;
  while (OthersBeside(old.process, port) > 0) {
    if (std::chrono::steady_clock::now() >= end) {
      return absl::UnavailableError(absl::StrCat(
          "a third server listens on port ", port, " beside the one of process ", old.process,
          "; is it being taken over already? Start again when that is done"));
    }
    std::this_thread::sleep_for(kLeavePoll);
  }
  if (ListensOn(old.process, port)) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the server of process ", old.process,
                                             " does not listen on port ", port, " any more"));
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
  for (const uint16_t port : All(old.ports)) {
    if (absl::Status sole = AwaitSoleListener(old, port); !sole.ok()) return sole;
    if (absl::Status shared = AwaitSharedPort(address, port, kLongestWait); !shared.ok()) {
      return shared;
    }
  }
  if (absl::Status listening = listen(); !listening.ok()) return listening;
  for (const uint16_t port : All(old.ports)) {
    const absl::Status steered = SteerToSelf(port, /*others=*/1);
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

bool AreTakenOver(const Ports& ports) { return OthersBeside(getpid(), ports.grpc) > 0; }

void ServeOut(const Ports& ports, Duration longest, const std::function<void()>& stop_listening,
              const std::function<bool(Duration)>& is_over) {
  const auto passes = [&is_over](Duration time, const std::function<bool()>& is_done) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end && !is_done()) {
      if (is_over(kServeOutPoll)) return false;
    }
    return true;
  };
  if (!passes(kLastConnections, [] { return false; })) return;
  // Before the connections have gone: another server that takes over awaits it.
  stop_listening();
  passes(longest,
         [&ports] { return OwnConnectionsOn(ports.grpc) + OwnConnectionsOn(ports.http) == 0; });
}

}  // namespace tandem::server
