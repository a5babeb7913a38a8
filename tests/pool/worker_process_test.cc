#include "backends/pool/worker_process.h"

#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "backends/ipc/control_channel.h"
#include "tests/support/catch.h"
#include "tests/support/program_path.h"

namespace tandem {
namespace {

SpawnOptions Options(const std::string& program) {
  SpawnOptions options;
  options.program = program;
  // Any open descriptor will do for what is tried here.
  options.control_fd = 0;
  return options;
}

bool AwaitEnd(const WorkerProcess& process) {
  pollfd end = {process.fd(), POLLIN, 0};
  return poll(&end, 1, 20'000) == 1;
}

TEST_CASE("A process's end is told once, with its exit code", "[worker_process]") {
  absl::StatusOr<WorkerProcess> process = WorkerProcess::Spawn(Options("/bin/false"));
  REQUIRE(process.ok());
  REQUIRE(AwaitEnd(*process));
  const std::optional<WorkerExit> exit = process->Reap();
  REQUIRE(exit.has_value());
  CHECK(Describe(*exit) == "exited with code 1");
  CHECK(!process->Reap().has_value());
}

TEST_CASE("A process that is killed tells the signal", "[worker_process]") {
  // This program waits for as long as the other end of its socket is open.
  auto ends = ipc::ControlChannel::CreatePair();
  REQUIRE(ends.ok());
  SpawnOptions options = Options(ProgramPath("tandem_scripted_worker_silent"));
  options.control_fd = ends->second.fd();
  absl::StatusOr<WorkerProcess> process = WorkerProcess::Spawn(options);
  REQUIRE(process.ok());
  CHECK(!process->Reap().has_value());
  process->Kill();
  REQUIRE(AwaitEnd(*process));
  CHECK(Describe(process->Reap().value()) == "killed by signal 9 (SIGKILL)");
}

TEST_CASE("A process that is given up is killed and reaped", "[worker_process]") {
  REQUIRE(WorkerProcess::Spawn(Options(ProgramPath("tandem_scripted_worker_silent"))).ok());
  CHECK((waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD));
}

TEST_CASE("Cores that the machine lacks and programs that are none are errors",
          "[worker_process]") {
  SpawnOptions options = Options("/bin/true");
  options.cores = {100'000};
  CHECK(WorkerProcess::Spawn(options).status().message().find("cores") != absl::string_view::npos);
  CHECK(WorkerProcess::Spawn(Options("/nowhere/worker")).status().code() ==
        absl::StatusCode::kNotFound);
  CHECK((waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD));
}

TEST_CASE("An end is told in words", "[worker_exit]") {
  CHECK(Describe({0, 0}) == "exited with code 0");
  CHECK(Describe({0, SIGSEGV}) == "killed by signal 11 (SIGSEGV)");
  CHECK(Describe({0, 200}) == "killed by signal 200");
  CHECK(AdviceAtStart({1, 0}) == "its own messages say why");
  CHECK(AdviceAtStart({0, SIGSEGV}) == "its own messages say why");
  CHECK(AdviceAtStart({127, 0}).find("LibTorch: run ./dev build") != std::string::npos);
}

}  // namespace
}  // namespace tandem
