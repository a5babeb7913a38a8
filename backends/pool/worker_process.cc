#include "backends/pool/worker_process.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/pool/memory_node.h"
#include "core/worker_scratch.h"

namespace tandem {
namespace {

// The environment of the server, but for what the pool decides.
std::vector<std::string> Environment(const SpawnOptions& options) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with("CUDA_VISIBLE_DEVICES=") || text.starts_with("OMP_NUM_THREADS=")) {
      continue;
    }
    variables.emplace_back(text);
  }
  variables.push_back(absl::StrCat("CUDA_VISIBLE_DEVICES=", options.cuda_devices));
  variables.push_back(absl::StrCat("OMP_NUM_THREADS=", options.threads));
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Narrows the calling thread to some cores while it lives. A child inherits them, so that not even
// its first instructions run elsewhere.
class CoreScope {
 public:
  explicit CoreScope(const std::vector<int>& cores) {
    if (cores.empty()) return;
    cpu_set_t wanted;
    CPU_ZERO(&wanted);
    for (const int core : cores) {
      if (core >= 0 && core < CPU_SETSIZE) CPU_SET(core, &wanted);
    }
    narrowed_ = sched_getaffinity(0, sizeof(before_), &before_) == 0 &&
                sched_setaffinity(0, sizeof(wanted), &wanted) == 0;
    ok_ = narrowed_;
  }
  ~CoreScope() {
    if (narrowed_) sched_setaffinity(0, sizeof(before_), &before_);
  }
  CoreScope(const CoreScope&) = delete;
  CoreScope& operator=(const CoreScope&) = delete;

  bool ok() const { return ok_; }

 private:
  cpu_set_t before_{};
  bool narrowed_ = false;
  bool ok_ = true;
};

// What posix_spawn is told besides program, arguments and environment.
class SpawnSetup {
 public:
  explicit SpawnSetup(int control_fd) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, control_fd, WorkerProcess::kControlFd);
    posix_spawn_file_actions_addclosefrom_np(&actions_, WorkerProcess::kControlFd + 1);
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    // A group of its own: Ctrl-C in a terminal reaches the server alone, which then drains and ends
    // its workers.
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// When memory runs out, the kernel shall end a worker and not the server. Where that may not be
// set, it stays as is.
void PreferForMemoryKill(pid_t pid) {
  const std::string file = absl::StrCat("/proc/", pid, "/oom_score_adj");
  const ipc::UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return;
  constexpr std::string_view kScore = "500";
  [[maybe_unused]] const ssize_t written = write(fd.get(), kScore.data(), kScore.size());
}

// Threads inherit it from the one that starts them, and the worker starts its lanes when it is
// greeted, which is later. To be nicer than before is allowed to everybody.
void MakeNice(pid_t pid, uint32_t nice) {
  const int own = getpriority(PRIO_PROCESS, 0);
  if (static_cast<int>(nice) > own)
    setpriority(PRIO_PROCESS, static_cast<id_t>(pid), static_cast<int>(nice));
}

}  // namespace

absl::StatusOr<WorkerProcess> WorkerProcess::Spawn(const SpawnOptions& options) {
  std::vector<std::string> arguments = {options.program, absl::StrCat("--control-fd=", kControlFd)};
  std::vector<std::string> environment = Environment(options);
  const SpawnSetup setup(options.control_fd);
  pid_t pid = 0;
  int error = 0;
  {
    const CoreScope cores(options.cores);
    const MemoryNodeScope node(options.memory_node);
    if (!cores.ok()) return absl::ErrnoToStatus(errno, "the pool's cores cannot be used");
    error = posix_spawn(&pid, options.program.c_str(), setup.actions(), setup.attributes(),
                        Pointers(arguments).data(), Pointers(environment).data());
  }
  if (error != 0) {
    return absl::ErrnoToStatus(error,
                               absl::StrCat("cannot start the worker program ", options.program));
  }
  ipc::UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    const absl::Status status = absl::ErrnoToStatus(errno, "cannot watch a worker's process");
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
  PreferForMemoryKill(pid);
  MakeNice(pid, options.nice);
  return WorkerProcess(pid, std::move(pidfd));
}

WorkerProcess::WorkerProcess(pid_t pid, ipc::UniqueFd pidfd)
    : pid_(pid), pidfd_(std::move(pidfd)) {}

WorkerProcess::WorkerProcess(WorkerProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}

WorkerProcess::~WorkerProcess() {
  Kill();
  Wait(0);
}

// Safe as a plain kill: the number stays taken until it is reaped here.
void WorkerProcess::Kill() {
  if (pid_ != 0) kill(pid_, SIGKILL);
}

bool WorkerProcess::IsStopped() const {
  std::ifstream stream(absl::StrCat("/proc/", pid_, "/stat"));
  std::string line;
  std::getline(stream, line);
  // The state comes after the name, which may hold anything.
  const size_t name_end = line.rfind(") ");
  return name_end != std::string::npos && line.compare(name_end + 2, 1, "T") == 0;
}

std::optional<WorkerExit> WorkerProcess::Reap() { return Wait(WNOHANG); }

std::optional<WorkerExit> WorkerProcess::Wait(int flags) {
  if (pid_ == 0) return std::nullopt;
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(pid_, &status, flags)) < 0 && errno == EINTR) {
  }
  if (ended == 0) return std::nullopt;
  RemoveWorkerScratch(pid_);
  pid_ = 0;
  WorkerExit exit;
  if (ended > 0 && WIFSIGNALED(status)) exit.signal = WTERMSIG(status);
  if (ended > 0 && WIFEXITED(status)) exit.code = WEXITSTATUS(status);
  return exit;
}

}  // namespace tandem
