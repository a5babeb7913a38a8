// What Router hides: the locks, the timer thread and the calls to backends and clients around the
// pure parts. Thread-safe. Lock order: table_mutex_, mutex_; a lane's mutex and drain_mutex_ are
// taken alone. Backends, observer and callbacks are called with none of the first two held.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "router/model_table.h"
#include "router/queued_request.h"
#include "router/router.h"
#include "router/scheduler.h"
#include "router/wake_timer.h"

namespace tandem {

class Router::State {
 public:
  State(const Clock& clock, RouterOptions options, RouterObserver& observer);
  ~State();

  void AddBackend(Backend& backend);
  absl::Status AddModel(std::shared_ptr<const ModelVersion> model);
  void AddUnusable(std::string name, int64_t version, std::string reason);
  void UpdateModel(const ModelUpdate& update);
  bool IsArriving(const std::string& model) const;
  std::vector<std::string> ModelNames() const;
  void SeedCost(const std::string& model, int64_t version, const PoolCost& learnt);
  void Submit(absl::Span<Submission> burst);
  void NoteRefused(const absl::Status& status);
  Ended TakeEnded();
  void StopTaking();
  bool HasLongBatch() const { return long_batches_.load(std::memory_order_relaxed) > 0; }
  std::vector<ModelStatus> Models() const;
  absl::StatusOr<ModelStatus> FindModel(const std::string& name, int64_t version) const;
  bool AllModelsSettled() const;
  bool AllModelsHaveLanes() const;
  RouterGauges Gauges() const;
  void SetLimits(RouterOptions limits);
  std::vector<QuarantinedRequest> Quarantined() const;
  size_t ClearQuarantine();
  bool Drain(Duration timeout);

  void LaneUp(LaneId lane);
  void LaneDown(LaneId lane, const absl::Status& reason);
  void WarmUp(LaneId lane, uint32_t handle, absl::Span<const WarmUpRun> runs);
  void NoteLoad(LaneId lane, uint32_t handle, ModelEvent event);
  void ModelReady(LaneId lane, uint32_t handle, std::vector<TensorSpec> inputs,
                  std::vector<TensorSpec> outputs);
  void ModelFailed(LaneId lane, uint32_t handle, const absl::Status& reason);
  void BatchDone(LaneId lane, uint64_t batch_id, BatchResult result);

 private:
  struct Pool {
    Backend* backend;
    // Held while Backend::Run is called for the lane: one thread at a time. Mutexes do not move, so
    // a deque.
    std::deque<std::mutex> lanes;
  };

  absl::Status Admit(QueuedRequest& queued);
  void Perform(SchedulerActions actions);
  void Start(ScheduledBatch* batch, SchedulerActions& next);
  std::unique_ptr<ScheduledBatch> EndedLocked(TimePoint now, LaneId lane, uint64_t batch_id,
                                              SchedulerActions& actions);
  void AnswerBatch(std::unique_ptr<ScheduledBatch> batch, TimePoint finished);
  // Ends a batch that is this thread's to end and answers it, before any other of its model where
  // that keeps the order of its requests.
  void EndBatch(TimePoint now, const ScheduledBatch& batch, SchedulerActions& actions);
  void RunAgain(std::unique_ptr<ScheduledBatch> batch, TimePoint now);
  void Ban(uint32_t model, const QueuedRequest& request, const absl::Status& sentence,
           TimePoint now);
  void NoteGivenUp(const QueuedRequest& request, const absl::Status& status);
  void Condemn(uint32_t model, std::unique_ptr<QueuedRequest> request, const std::string& how,
               TimePoint now);
  // With table_mutex_ and mutex_ held: the lanes' workers have other models to load than before.
  void NoteLoadingLocked(SchedulerActions& actions);
  // Forgets versions that nobody uses any more, and has the workers unload them.
  void Bury(const std::vector<ModelEntry*>& gone);
  void Answer(std::unique_ptr<QueuedRequest> queued, InferResponse response);
  void Refuse(std::unique_ptr<QueuedRequest> queued, absl::Status status);
  // Both with table_mutex_ held.
  ModelStatus StatusLocked(const ModelEntry& entry) const;
  std::vector<PoolCost> CostsLocked(const ModelEntry& entry) const;
  // Both with mutex_ held. Sets the timer where something falls due earlier than it knows.
  void Arm();
  void SetTimer(TimePoint now, TimePoint wakeup);
  void RunTimer();

  const Clock& clock_;
  RouterObserver& observer_;
  std::deque<Pool> pools_;
  Quarantine quarantine_;

  // Guards table_. Requests only read it.
  mutable std::shared_mutex table_mutex_;
  ModelTable table_;

  // Guards scheduler_, the results of batches, armed_ and stopping_.
  mutable std::mutex mutex_;
  Scheduler scheduler_;
  WakeTimer timer_;
  TimePoint armed_ = kNever;
  bool stopping_ = false;

  std::atomic<uint64_t> max_bytes_in_flight_;
  std::atomic<uint64_t> bytes_in_flight_{0};
  std::atomic<uint64_t> requests_in_flight_{0};
  // Of those that run.
  std::atomic<uint64_t> long_batches_{0};
  std::atomic<bool> draining_{false};
  // Backends may be gone.
  std::atomic<bool> ending_{false};
  std::mutex drain_mutex_;
  std::condition_variable drained_;

  std::thread timer_thread_;
};

}  // namespace tandem
