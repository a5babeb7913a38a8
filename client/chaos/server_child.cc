#include "client/chaos/server_child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStartLimit(60000);
constexpr milliseconds kLookForEnd(10);
constexpr size_t kShownLogBytes = 2000;

std::vector<std::string> Arguments(const ServerChildOptions& options) {
  return {options.program, "serve", absl::StrCat("--model-repository=", options.model_repository),
          "--address=127.0.0.1", "--grpc-port=0", "--http-port=0", "--metrics-port=0",
          absl::StrCat("--port-file=", options.port_file), "--log-format=json",
          // This is no trial of overload: what comes while all workers are away waits.
          "--max-queue-length=1000000", "--max-queue-bytes=1TiB", "--max-bytes-in-flight=1TiB",
          absl::StrCat("--pool=cpu=device:cpu,processes:", options.processes,
                       ",lanes:", options.lanes, ",express:", options.express, ",threads:1")};
}

// Without variables that would set something of the server.
std::vector<std::string> Environment(const ServerChildOptions& options) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (!text.starts_with("TANDEM_") || text.starts_with("TANDEM_WORKER=") ||
        text.starts_with("TANDEM_TEST_")) {
      variables.emplace_back(text);
    }
  }
  if (!options.worker_program.empty()) {
    std::erase_if(variables,
                  [](const std::string& text) { return text.rfind("TANDEM_WORKER=", 0) == 0; });
    variables.push_back(absl::StrCat("TANDEM_WORKER=", options.worker_program));
  }
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In the child, between fork and exec: nothing but calls to the system.
[[noreturn]] void Become(const char* program, char* const* arguments, char* const* environment,
                         int log, pid_t parent) {
  // It ends with the thread that started it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  // Ctrl-C is for the driver, which then stops the server.
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // Writing out the memory of each worker that is made to crash would be the slowest part.
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execve(program, arguments, environment);
  _exit(127);
}

std::string EndOf(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream copied;
  copied << stream.rdbuf();
  const std::string text = copied.str();
  return text.size() > kShownLogBytes ? text.substr(text.size() - kShownLogBytes) : text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerChild>> ServerChild::Start(const ServerChildOptions& options) {
  const int log =
      open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--server-log ", options.log_file, " cannot be written"));
  }
  std::vector<std::string> arguments = Arguments(options);
  std::vector<std::string> environment = Environment(options);
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const pid_t self = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    Become(options.program.c_str(), argument_pointers.data(), environment_pointers.data(), log,
           self);
  }
  close(log);
  if (pid < 0) return absl::ErrnoToStatus(errno, "cannot start the server");
  if (options.on_started) options.on_started(pid);
  std::unique_ptr<ServerChild> child(
      new ServerChild(pid, static_cast<int>(syscall(SYS_pidfd_open, pid, 0))));
  if (absl::Status status = child->ReadPorts(options); !status.ok()) return status;
  return child;
}

absl::Status ServerChild::ReadPorts(const ServerChildOptions& options) {
  const auto limit = std::chrono::steady_clock::now() + kStartLimit;
  while (!std::filesystem::exists(options.port_file)) {
    if (HasEnded(kLookForEnd) || std::chrono::steady_clock::now() > limit) {
      return absl::UnavailableError(
          absl::StrCat("the server did not come up:\n", EndOf(options.log_file)));
    }
  }
  std::ifstream stream(options.port_file);
  const nlohmann::json ports = nlohmann::json::parse(stream, nullptr, false);
  if (!ports.is_object() || !ports.contains("grpc") || !ports["grpc"].is_number_integer()) {
    return absl::UnavailableError("the server told no port");
  }
  target_ = absl::StrCat("127.0.0.1:", ports["grpc"].get<int>());
  return absl::OkStatus();
}

ServerChild::~ServerChild() {
  if (!reaped_) {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (pidfd_ >= 0) close(pidfd_);
}

bool ServerChild::HasEnded(milliseconds within) const {
  pollfd ended = {pidfd_, POLLIN, 0};
  return poll(&ended, 1, static_cast<int>(within.count())) > 0;
}

bool ServerChild::Stop(milliseconds grace) {
  if (reaped_) return false;
  kill(pid_, SIGTERM);
  if (!HasEnded(grace)) kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace tandem::client
