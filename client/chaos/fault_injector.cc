#include "client/chaos/fault_injector.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <optional>

#include "client/chaos/echo_request.h"
#include "client/chaos/footprint.h"

namespace tandem::client {

bool FaultInjector::Cause(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::kKill:
      return Signal(fault, SIGKILL);
    case FaultKind::kSegv:
      return Signal(fault, SIGSEGV);
    case FaultKind::kStop:
      return Signal(fault, SIGSTOP);
    case FaultKind::kHang:
      load_.SendPoison(kHangModel);
      return true;
    case FaultKind::kGarbage:
      load_.SendPoison(kGarbageModel);
      return true;
    case FaultKind::kPoison:
      load_.SendPoison(kPoisonModel);
      return true;
  }
  return false;
}

namespace {

// A process that was stopped before takes no other signal but SIGKILL.
constexpr std::chrono::milliseconds kDyingLimit(1000);

WallTime Now() {
  return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
}

// When the process ended, where it did within that time.
std::optional<WallTime> AwaitEnd(int pidfd, std::chrono::milliseconds limit) {
  pollfd ended = {pidfd, POLLIN, 0};
  if (poll(&ended, 1, static_cast<int>(limit.count())) <= 0) return std::nullopt;
  return Now();
}

}  // namespace

bool FaultInjector::Signal(const Fault& fault, int number) {
  const std::vector<v1::WorkerStatus> workers = ReadyWorkers();
  if (workers.empty()) return false;
  const v1::WorkerStatus& worker = workers[fault.draw % workers.size()];
  const auto pid = static_cast<pid_t>(worker.pid());
  // From here on the descriptor means this process, even if the number were given to another one.
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return false;
  bool sent = false;
  // The server may not know yet that one has ended.
  const bool lives = !AwaitEnd(pidfd, std::chrono::milliseconds(0)).has_value();
  if (lives && ParentOf(pid) == server_ && IsWorker(pid)) {
    SentSignal signal{fault.kind, pid, Now(), std::nullopt};
    sent = syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0) == 0;
    if (sent && fault.kind != FaultKind::kStop) signal.ended = AwaitEnd(pidfd, kDyingLimit);
    if (sent) {
      signals_.push_back(signal);
      restarts_before_[worker.name()] = worker.restarts();
    }
  }
  close(pidfd);
  return sent;
}

std::vector<v1::WorkerStatus> FaultInjector::ReadyWorkers() {
  const absl::StatusOr<v1::ServerStatusResponse> status = client_.ServerStatus();
  std::vector<v1::WorkerStatus> workers;
  if (!status.ok()) return workers;
  for (const v1::PoolStatus& pool : status->pools()) {
    for (const v1::WorkerStatus& worker : pool.workers()) {
      if (worker.state() == "ready" && worker.pid() > 0) workers.push_back(worker);
    }
  }
  return workers;
}

bool FaultInjector::HitWorkersAreBack(const v1::ServerStatusResponse& status) const {
  for (const v1::PoolStatus& pool : status.pools()) {
    for (const v1::WorkerStatus& worker : pool.workers()) {
      const auto hit = restarts_before_.find(worker.name());
      if (hit != restarts_before_.end() && worker.restarts() <= hit->second) return false;
    }
  }
  return true;
}

}  // namespace tandem::client
