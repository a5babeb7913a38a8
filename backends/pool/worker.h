// One worker of a pool, through all its lives: starts the process, greets it, has its models
// loaded, watches it, and starts it again when it dies. Run and status are thread-safe; everything
// else is for the pool's supervisor thread, which lives as long as any worker's process.
#pragma once

#include <poll.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "backends/pool/control_queue.h"
#include "backends/pool/hang_judge.h"
#include "backends/pool/life_watch.h"
#include "backends/pool/model_loader.h"
#include "backends/pool/pool.h"
#include "backends/pool/restart_backoff.h"
#include "backends/pool/worker_link.h"
#include "backends/pool/worker_process.h"

namespace tandem {

class Worker {
 public:
  struct Surroundings {
    // Outlive the worker.
    const PoolOptions& options;
    BackendEvents& events;
    const LogSink& log;
    // Of all workers of the pool; outlives them.
    LoadTrials& trials;
    // Has the supervisor thread call Tick. Thread-safe.
    std::function<void()> wake;
  };

  // `pool` and `index` as in LaneId and "cpu/0".
  Worker(Surroundings surroundings, uint32_t pool, uint32_t index);

  // Any thread. `lane` is counted within the worker.
  absl::Status Run(uint32_t lane, const Batch& batch);
  Ended TakeEnded();
  void StopTaking();
  // As Backend's; `lane` as in Run.
  void WatchBatch(uint32_t lane, uint64_t batch_id);
  void EndIfItHangs(uint32_t lane, uint64_t batch_id, const Overrun& overrun, std::string reason);
  // As Backend::ExplainDeath.
  void ExplainDeath() { death_explained_ = true; }
  WorkerStatus Status() const;
  const std::string& name() const { return name_; }

  // Does what is due: starts the process, reads its messages, sees its end, pings, kills.
  void Tick(TimePoint now);
  // When Tick is to be called even though nothing happened.
  TimePoint NextDeadline() const;
  // What to wait for otherwise.
  std::array<pollfd, 2> Polled() const;

  void Load(std::shared_ptr<const ModelVersion> model) { loader_.Add(std::move(model)); }
  void Unload(uint32_t handle, TimePoint now);

  // Asks the process to end, kills it at `kill_at`, and starts none again.
  void Stop(TimePoint kill_at);
  // There is no process and there will be none.
  bool is_finished() const { return stopping_ && !process_.has_value(); }

  // A first start goes on through so many deaths by a signal that came before the hello. Whoever
  // exits by itself does so again: that is told at once.
  static constexpr int kMostEarlyDeaths = 3;
  // The outcome of the first start: nothing while it is open.
  const std::optional<absl::Status>& first_start() const { return first_start_; }

 private:
  // Null while no process can be given batches.
  std::shared_ptr<WorkerLink> link() const;
  // The process, where it holds the batch; 0 where it does not, or there is none.
  pid_t HolderOf(uint64_t batch_id) const;
  // What the server killed it for.
  enum class KillCause {
    kFault,
    // A batch took too long.
    kHang,
    // It did since the process was stopped.
    kStopped,
    // At the end of a load it had more memory than its pool allows.
    kLoadedTooMuch,
    // A load did not end: in time, or soon after its model was removed.
    kLoadTooLong,
    kLoadUnwanted,
  };
  // Of another thread, for the supervisor's to fulfil.
  struct DeathWish {
    std::string reason;
    KillCause cause = KillCause::kFault;
    // The batch that hangs.
    std::optional<uint64_t> hung;
  };

  absl::Status Start(TimePoint now);
  void ReadControl(TimePoint now);
  // INTERNAL: the worker broke the protocol.
  absl::Status OnMessage(const worker::v1::FromWorker& message, TimePoint now);
  absl::Status OnLoadEnded(const worker::v1::FromWorker& message);
  absl::Status OnHello(const worker::v1::HelloReply& hello, TimePoint now);
  void JudgeLoad(TimePoint now);
  void SendPing(TimePoint now);
  // On the link's completion thread or one that calls Run.
  void OnViolation(const std::string& violation);
  // Ends the process; the reason is for the log and the status.
  void Kill(std::string reason, KillCause cause = KillCause::kFault);
  void GrantDeathWish();
  void OnExit(const WorkerExit& exit, TimePoint now);
  // By the server.
  bool WasKilled() const;
  // Of itself, not by a signal from outside.
  bool HasCrashed(const WorkerExit& exit) const;
  bool TookLongToEnd() const;
  // What it says of the batches.
  WorkerDeath DeathOf(bool crashed) const;
  // And of a load.
  LoadDeath LoadDeathOf(bool crashed) const;
  // With mutex_ held.
  void Follow(WorkerEvent event);
  void ScheduleRestart(Duration healthy_for, bool crashed, TimePoint now);
  // Once in each life but the first, when it holds its models again.
  void TellThatItIsBack(TimePoint now);
  void SettleFirstStart(absl::Status status);
  // The process has ended, before its hello where the first start is open still: `how` as in the
  // log. Either settles that or leaves it open for another process.
  void JudgeFirstStart(const WorkerExit& exit, const std::string& how, bool was_killed,
                       int64_t pid);
  void LogNotes(const worker::v1::ModelLoaded& message) const;
  void Log(LogLevel level, const std::string& text) const;
  LaneId lane(uint32_t lane_of_worker) const { return {pool_, first_lane_ + lane_of_worker}; }

  const Surroundings around_;
  const uint32_t pool_;
  const uint32_t index_;
  const uint32_t first_lane_;
  const std::string name_;

  RestartBackoff backoff_;
  ModelLoader loader_;
  // Of this life: all there from the start of the process to its end, but for a socket that closes.
  std::optional<WorkerProcess> process_;
  std::optional<ControlQueue> control_;
  std::optional<LifeWatch> watch_;
  // The link of the process, published as link_ once it is ready.
  std::shared_ptr<WorkerLink> current_link_;
  std::optional<absl::Status> first_start_;
  // Deaths by a signal before that is settled.
  int early_deaths_ = 0;
  bool ready_ = false;
  bool stopping_ = false;
  TimePoint ready_since_{};
  TimePoint start_at_{};
  // Why the server killed it; empty where it did not.
  std::string kill_reason_;
  KillCause kill_cause_ = KillCause::kFault;
  std::optional<uint64_t> hung_;
  // Written while the router hears of the batches that the process held.
  std::atomic<bool> death_explained_{false};
  // The end of the life before; nothing in the first, and once it is made up for.
  std::optional<TimePoint> away_since_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<WorkerLink> link_;
  WorkerStatus status_;
  HangJudge hang_judge_;
  // The process is to be killed.
  std::optional<DeathWish> death_wish_;
};

}  // namespace tandem
