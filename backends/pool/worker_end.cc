// How a worker's life ends, and what follows.
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/pool/worker.h"

namespace tandem {

void Worker::Kill(std::string reason, KillCause cause) {
  if (!kill_reason_.empty()) return;
  Log(LogLevel::kError, absl::StrCat("is killed: ", reason));
  kill_reason_ = std::move(reason);
  kill_cause_ = cause;
  process_->Kill();
  control_.reset();
}

void Worker::GrantDeathWish() {
  std::optional<DeathWish> wish;
  {
    const std::lock_guard lock(mutex_);
    wish.swap(death_wish_);
  }
  if (!wish.has_value() || !kill_reason_.empty()) return;
  // Whoever stopped the process from outside is to blame then, and not the batch.
  if (wish->cause == KillCause::kHang && watch_->is_stopped()) {
    return Kill(absl::StrCat(wish->reason, ", for it was stopped"), KillCause::kStopped);
  }
  hung_ = wish->hung;
  Kill(std::move(wish->reason), wish->cause);
}

// A stop from outside is as good as a signal.
bool Worker::WasKilled() const { return !kill_reason_.empty() && !watch_->was_stopped(); }

// What the server killed it for is its own doing, but for a load that is of no use any more.
bool Worker::HasCrashed(const WorkerExit& exit) const {
  return (WasKilled() && kill_cause_ != KillCause::kLoadUnwanted) || !WasSignalled(exit);
}

// What hangs long enough to be killed for it has waited already.
bool Worker::TookLongToEnd() const {
  return kill_cause_ == KillCause::kHang || kill_cause_ == KillCause::kStopped ||
         kill_cause_ == KillCause::kLoadTooLong;
}

void Worker::OnExit(const WorkerExit& exit, TimePoint now) {
  std::string how = Describe(exit);
  if (!kill_reason_.empty()) absl::StrAppend(&how, ", since ", kill_reason_);
  const bool was_killed = WasKilled();
  const bool crashed = HasCrashed(exit);
  int64_t pid = 0;
  {
    const std::lock_guard lock(mutex_);
    link_.reset();
    pid = std::exchange(status_.pid, 0);
    Follow(WorkerEvent::kEnded);
    status_.last_exit = how;
  }
  Log(stopping_ ? LogLevel::kInfo : LogLevel::kWarning,
      absl::StrCat("process ", pid, " ended: ", how));
  away_since_ = now;
  death_explained_ = false;
  current_link_->Close(absl::UnavailableError(absl::StrCat("worker ", name_, " died (", how,
                                                           ") while it ran the request")),
                       DeathOf(crashed), hung_);
  const LoadDeath load_death = LoadDeathOf(crashed);
  const std::string load_how = load_death == LoadDeath::kMemory ? watch_->excess() : how;
  current_link_.reset();
  process_.reset();
  control_.reset();
  watch_.reset();
  const bool was_ready = std::exchange(ready_, false);
  if (was_ready) {
    const absl::Status reason =
        absl::UnavailableError(absl::StrCat("worker ", name_, " died (", how, ")"));
    for (uint32_t i = 0; i < around_.options.lanes; ++i) around_.events.OnLaneDown(lane(i), reason);
  }
  // After the lanes: what it says of a model holds for the next life.
  if (loader_.OnWorkerDied(now, load_death, load_how, was_ready)) backoff_.Reset();
  JudgeFirstStart(exit, how, was_killed, pid);
  ScheduleRestart(was_ready ? now - ready_since_ : Duration(0),
                  crashed && !TookLongToEnd() && !death_explained_, now);
}

WorkerDeath Worker::DeathOf(bool crashed) const {
  if (stopping_) return WorkerDeath::kNone;
  if (!crashed) return WorkerDeath::kFromOutside;
  // No batch is the reason.
  if (kill_cause_ == KillCause::kStopped || kill_cause_ == KillCause::kLoadedTooMuch ||
      kill_cause_ == KillCause::kLoadTooLong) {
    return WorkerDeath::kFromOutside;
  }
  // What hangs may wait for the load.
  if (loader_.is_loading()) return WorkerDeath::kWhileLoading;
  return kill_cause_ == KillCause::kHang ? WorkerDeath::kHung : WorkerDeath::kFromInside;
}

LoadDeath Worker::LoadDeathOf(bool crashed) const {
  if (!crashed) return LoadDeath::kSignal;
  if (kill_cause_ == KillCause::kLoadTooLong) return LoadDeath::kTooLong;
  return watch_->excess().empty() ? LoadDeath::kCrash : LoadDeath::kMemory;
}

void Worker::ScheduleRestart(Duration healthy_for, bool crashed, TimePoint now) {
  start_at_ = now + backoff_.Next(healthy_for, crashed);
}

void Worker::JudgeFirstStart(const WorkerExit& exit, const std::string& how, bool was_killed,
                             int64_t pid) {
  if (first_start_.has_value()) return;
  if (exit.signal != 0 && !was_killed && !stopping_ && ++early_deaths_ <= kMostEarlyDeaths) {
    // Not Log, which leaves the first start to the caller of Pool::Start.
    around_.log(LogLevel::kWarning,
                absl::StrCat("worker ", name_, " process ", pid,
                             " ended before it was ready: ", how, "; it is started again"));
    return;
  }
  const std::string times =
      early_deaths_ > kMostEarlyDeaths ? absl::StrCat(", the ", early_deaths_, "th time") : "";
  SettleFirstStart(absl::FailedPreconditionError(absl::StrCat(
      "worker ", name_, " ended before it was ready (", how, times, "); ", AdviceAtStart(exit))));
}

void Worker::SettleFirstStart(absl::Status status) {
  if (!first_start_.has_value()) first_start_ = std::move(status);
}

}  // namespace tandem
