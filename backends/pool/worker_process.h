// One worker's process: its birth, the descriptor that tells of its end, and its end. Not
// thread-safe. Destroying it kills the process and reaps it, so that neither orphan nor zombie
// stays.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/ipc/unique_fd.h"
#include "backends/pool/worker_exit.h"

namespace tandem {

struct SpawnOptions {
  std::string program;
  // CUDA_VISIBLE_DEVICES: empty hides every GPU.
  std::string cuda_devices;
  // OMP_NUM_THREADS.
  uint32_t threads = 1;
  // Cores it may use. Empty: those of the calling thread.
  std::vector<int> cores;
  // The NUMA node whose memory it takes first.
  std::optional<int> memory_node;
  // Its niceness, 0 to 19, where that is more than the server's.
  uint32_t nice = 0;
  // Inherited as kControlFd, and no other descriptor but 0, 1 and 2.
  int control_fd = -1;
};

class WorkerProcess {
 public:
  static constexpr int kControlFd = 3;

  // Starts `program --control-fd=3`. The worker asks the kernel to end it when the thread that
  // called this ends, so that thread must live as long as the worker. NOT_FOUND: no such program.
  // FAILED_PRECONDITION: it cannot be run.
  static absl::StatusOr<WorkerProcess> Spawn(const SpawnOptions& options);

  WorkerProcess(WorkerProcess&& other) noexcept;
  WorkerProcess& operator=(WorkerProcess&&) = delete;
  ~WorkerProcess();

  pid_t pid() const { return pid_; }
  // Readable once the process has ended.
  int fd() const { return pidfd_.get(); }

  void Kill();
  // A signal has stopped it (SIGSTOP), as the kernel tells.
  bool IsStopped() const;

  // How it ended; nothing while it lives. After its end has been told, nothing again.
  std::optional<WorkerExit> Reap();

 private:
  WorkerProcess(pid_t pid, ipc::UniqueFd pidfd);
  std::optional<WorkerExit> Wait(int flags);

  // 0: reaped.
  pid_t pid_;
  ipc::UniqueFd pidfd_;
};

}  // namespace tandem
