// A worker program: started by `tandem serve` with one end of a socket, it loads and runs models
// until the server says so or is gone. Each program links its own MakeRuntimes.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "backends/worker/control_loop.h"
#include "backends/worker/executor.h"
#include "core/version.h"
#include "core/worker_exit_code.h"
#include "core/worker_scratch.h"

namespace {

void Complain(absl::string_view what) {
  std::fprintf(stderr, "tandem-worker: %.*s\n", static_cast<int>(what.size()), what.data());
}

// Ties this process to its server and gives up what a process that runs models does not need.
void SetUpProcess(int control_fd) {
  prctl(PR_SET_NAME, "tandem-worker");
  // If the server is gone already, the control socket's end says so.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // A core file would hold clients' tensors.
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  // Whether to end is the server's decision: Ctrl-C in a terminal and a container's stop reach the
  // whole group, and what is sent by name reaches both programs.
  for (const int signal : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) {
    std::signal(signal, SIG_IGN);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  fcntl(control_fd, F_SETFD, FD_CLOEXEC);
  tandem::UseWorkerScratch();
}

std::optional<int> ControlFd(int argc, char** argv) {
  absl::string_view value;
  int fd = -1;
  if (argc != 2) return std::nullopt;
  value = argv[1];
  if (!absl::ConsumePrefix(&value, "--control-fd=")) return std::nullopt;
  if (!absl::SimpleAtoi(value, &fd) || fd < 0) return std::nullopt;
  return fd;
}

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kUnavailable:
      return tandem::kWorkerEnded;
    case absl::StatusCode::kInternal:
      return tandem::kWorkerBrokenProtocol;
    default:
      return tandem::kWorkerCannotServe;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    std::printf("tandem-worker %s\n", std::string(tandem::Version()).c_str());
    return tandem::kWorkerEnded;
  }
  const std::optional<int> control_fd = ControlFd(argc, argv);
  if (!control_fd.has_value()) {
    Complain("started by `tandem serve`, not by hand; expected --control-fd=N or --version");
    return tandem::kWorkerBadFlags;
  }
  SetUpProcess(*control_fd);
  tandem::worker::ControlLoop loop(tandem::ipc::ControlChannel(tandem::ipc::UniqueFd(*control_fd)),
                                   tandem::worker::MakeRuntimes, [](const absl::Status& status) {
                                     Complain(status.message());
                                     _exit(tandem::kWorkerBrokenProtocol);
                                   });
  const absl::Status status = loop.Run();
  // Why it cannot serve was told to the server, which says it to its operator.
  if (ExitCode(status) == tandem::kWorkerBrokenProtocol) Complain(status.message());
  // At once: without a server nobody waits for what the lanes still run, and a runtime's own
  // destructors at exit are known to fail now and then.
  _exit(ExitCode(status));
}
