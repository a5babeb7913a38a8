#include "client/chaos/worker_deaths.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/match.h"

namespace tandem::client {
namespace {

// The last of a kind that the process got from its start until then. Process ids come back: what
// was sent before the end of another one of that number was for that one, whatever ended it.
const SentSignal* FindSignal(const std::vector<SentSignal>& signals, FaultKind kind, pid_t pid,
                             WallTime from, WallTime until) {
  const SentSignal* found = nullptr;
  for (const SentSignal& signal : signals) {
    if (signal.kind == kind && signal.pid == pid && signal.time > from && signal.time <= until) {
      found = &signal;
    }
  }
  return found;
}

struct Cause {
  std::optional<FaultKind> kind;
  const SentSignal* signal = nullptr;
};

// `from`: when another process of the number ended.
Cause CauseOf(const WorkerLogEvent& end, const std::vector<SentSignal>& signals, WallTime from) {
  const auto signal = [&](FaultKind kind) {
    return FindSignal(signals, kind, end.pid, from, end.time);
  };
  if (absl::StrContains(end.how, "broke the protocol")) return {FaultKind::kGarbage, nullptr};
  if (absl::StrContains(end.how, "did not come to an end") ||
      absl::StrContains(end.how, "no sign of life") || absl::StrContains(end.how, "was stopped")) {
    const SentSignal* const stop = signal(FaultKind::kStop);
    return {stop != nullptr ? FaultKind::kStop : FaultKind::kHang, stop};
  }
  if (absl::StrContains(end.how, "SIGSEGV")) {
    const SentSignal* const segv = signal(FaultKind::kSegv);
    return {segv != nullptr ? FaultKind::kSegv : FaultKind::kPoison, segv};
  }
  if (absl::StrContains(end.how, "SIGKILL") && !absl::StrContains(end.how, "since")) {
    const SentSignal* const kill = signal(FaultKind::kKill);
    if (kill != nullptr) return {FaultKind::kKill, kill};
  }
  return {};
}

}  // namespace

std::vector<WorkerDeath> FindDeaths(const std::vector<WorkerLogEvent>& log,
                                    const std::vector<SentSignal>& signals) {
  std::vector<WorkerDeath> deaths;
  // Of each worker that is away, its death and from when its absence counts.
  struct Absence {
    size_t death;
    WallTime since;
  };
  std::map<std::string, Absence> away;
  // The last end of a process of each number.
  std::map<pid_t, WallTime> ended;
  for (const WorkerLogEvent& event : log) {
    if (event.kind == WorkerLogEvent::Kind::kBack) {
      const auto absence = away.find(event.worker);
      if (absence == away.end()) continue;
      deaths[absence->second.death].back_after = event.time - absence->second.since;
      away.erase(absence);
      continue;
    }
    const auto before = ended.find(event.pid);
    const Cause cause =
        CauseOf(event, signals, before == ended.end() ? WallTime::min() : before->second);
    ended[event.pid] = event.time;
    WorkerDeath& death = deaths.emplace_back();
    death.kind = cause.kind;
    // A stopped process is ended by the server, when its budget is over.
    if (cause.signal != nullptr && cause.kind != FaultKind::kStop) {
      death.detected_after_signal = event.time - cause.signal->time;
      // The server may see it before the run does.
      if (cause.signal->ended.has_value()) {
        death.detected_after =
            std::max(event.time - *cause.signal->ended, std::chrono::microseconds(0));
      }
    }
    away[event.worker] = {deaths.size() - 1,
                          cause.signal != nullptr ? cause.signal->time : event.time};
  }
  return deaths;
}

}  // namespace tandem::client
