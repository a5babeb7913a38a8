// Decides when a batch goes, with whom, and where. Events come in with their time, what is to be
// done comes out as actions. Knows no thread, no clock and no backend. Not thread-safe: the router
// locks it.
//
// A lane that is free, or soon will be, pulls: no batch is bound to a lane before. Among the models
// that wait for a lane the one with the most urgent request goes first. Where several pools hold a
// model, placement_policy.h says who takes it. A request that would not be answered inside its
// deadline is refused when it comes, or as soon as that is known. Express lanes are for light
// models alone: however long the others' batches take, a short one need not wait for their end.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "core/backend.h"
#include "core/clock.h"
#include "core/model_config.h"
#include "router/batch_queue.h"
#include "router/circuit_breaker.h"
#include "router/cost_model.h"
#include "router/lane_table.h"
#include "router/placement_policy.h"
#include "router/queued_request.h"
#include "router/reappraisal.h"

namespace tandem {

// What the caller does, outside of its lock, in this order.
struct SchedulerActions {
  // Batches to hand to their lanes. The scheduler owns them until they end.
  std::vector<ScheduledBatch*> starts;
  struct Refusal {
    std::unique_ptr<QueuedRequest> request;
    absl::Status status;
  };
  std::vector<Refusal> refusals;
  // Batches that were too much for a pool's memory, whose requests run one by one.
  struct Split {
    std::string model;
    int64_t version = 0;
    uint32_t pool = 0;
  };
  std::vector<Split> splits;
  // Models that are paused from now on, since their requests ended worker after worker.
  struct Pause {
    std::string model;
    int64_t version = 0;
    Duration time{0};
  };
  std::vector<Pause> pauses;
  // Batches that may come to run for too long, to be watched; each once.
  struct Watch {
    LaneId lane;
    uint64_t batch = 0;
  };
  std::vector<Watch> watches;
  // Batches that run for too long, whose workers are to be ended where they hang; told at each look
  // until they end.
  struct Overdue {
    LaneId lane;
    uint64_t batch = 0;
    Overrun overrun;
    std::string reason;
  };
  std::vector<Overdue> overdue;

  bool empty() const {
    return starts.empty() && refusals.empty() && splits.empty() && pauses.empty() &&
           watches.empty() && overdue.empty();
  }
};

class Scheduler {
 public:
  // A lane is given a second batch only where each takes less than this, and more where all
  // together do: then the way to the worker and back counts, and one wake-up serves many.
  static constexpr Duration kShortBatch = std::chrono::microseconds(500);
  // A lane that runs a longer one gets the same model's next batch this long before it is predicted
  // to end, or a part of its time where that is more: then it need not wait for it.
  static constexpr Duration kLeastLead = std::chrono::microseconds(200);
  static constexpr int kLeadPart = 16;
  // An express lane takes batches of at most this, and only while each other lane of the pool runs
  // one that takes so many times as long: what is light does not keep it from what is lighter.
  static constexpr Duration kExpressBatch = std::chrono::milliseconds(2);
  static constexpr int kExpressGain = 4;
  // So long after what it has should have ended a lane is late: it may hang, so nothing more goes
  // there before something ends.
  static constexpr Duration kLate = std::chrono::microseconds(500);
  // A model gets another lane only where each of those that run it has so much to compute: for
  // less, waking it costs more than it brings. Unless they are late.
  static constexpr Duration kWorthAWake = std::chrono::microseconds(150);
  // So long after a hang its model, and others that hung, have half of a pool's lanes at most: what
  // hangs next leaves the rest to other models.
  static constexpr Duration kHangMemory = std::chrono::minutes(1);
  // How often waiting requests are looked over for cancelled ones.
  static constexpr Duration kSweepInterval = std::chrono::milliseconds(50);
  // How often the running batches are held against their budgets.
  static constexpr Duration kWatchInterval = std::chrono::milliseconds(250);

  // Bounds of what a client is told to wait whose request finds the queue full.
  static constexpr Duration kSoonestRetry = std::chrono::milliseconds(10);
  static constexpr Duration kLatestRetry = std::chrono::seconds(10);
  // How long what may end a worker waits for another one to come back, so that the pool does not
  // lose its last.
  static constexpr Duration kLongestSparing = std::chrono::seconds(1);

  // `restart_patience`: how long requests wait for a dead worker's successor where no other can run
  // them.
  explicit Scheduler(uint32_t max_queue_length,
                     Duration restart_patience = std::chrono::seconds(10),
                     uint64_t max_queue_bytes = uint64_t{512} << 20)
      : max_queue_length_(max_queue_length),
        max_queue_bytes_(max_queue_bytes),
        restart_patience_(restart_patience) {}

  // For the requests that come from now on.
  void SetMaxQueue(uint32_t length, uint64_t bytes) {
    max_queue_length_ = length;
    max_queue_bytes_ = bytes;
  }

  // As LaneTable::AddPool.
  uint32_t AddPool(PoolKind kind, const std::vector<uint32_t>& worker_of_lane,
                   const std::vector<uint32_t>& express = {});
  // After all pools. Returns the number of the model.
  uint32_t AddModel(const ModelVersion& model);
  // No request of it is left. Its number may go to another.
  void RemoveModel(uint32_t model);

  void LaneUp(LaneId lane);
  // Requests that no lane can run any more wait for the lane to come back, or are refused with
  // UNAVAILABLE after the restart patience.
  void LaneDown(TimePoint now, LaneId lane, SchedulerActions& actions);
  // The lane's worker loads models, or has tried all of them. Suspects wait for the latter: a crash
  // in a load would be taken for theirs.
  void SetLoading(TimePoint now, LaneId lane, bool loading, SchedulerActions& actions);
  // The pool's workers will not run the model any more: nobody waits for them.
  void GiveUp(TimePoint now, uint32_t model, uint32_t pool, SchedulerActions& actions);
  // The model can run on that lane from now on, or has been found to be unable to.
  void SetRunnable(TimePoint now, uint32_t model, LaneId lane, bool runnable,
                   SchedulerActions& actions);

  void Submit(TimePoint now, uint32_t model, std::unique_ptr<QueuedRequest> request,
              SchedulerActions& actions);
  // The same in two steps, for requests that come together, so that they can join: each waits, or
  // is refused; and then each one's model is served.
  void Accept(TimePoint now, uint32_t model, std::unique_ptr<QueuedRequest> request,
              SchedulerActions& actions);
  void Serve(TimePoint now, uint32_t model, SchedulerActions& actions);

  // The batch of that number that runs on the lane; null where there is none.
  ScheduledBatch* Find(LaneId lane, uint64_t batch);

  // A batch of the model was run on the pool besides the scheduled ones, as when it was loaded.
  void Observe(uint32_t model, uint32_t pool, int64_t rows, Duration time);

  // It has ended, well or not, and the lane can take another. Its members are to be answered, or,
  // where its worker died, to run again. Where it was too much for a worker's memory (its result
  // is RESOURCE_EXHAUSTED) they wait again instead, each to run by itself, since they may fit one
  // by one: null then, and for a batch that does not run.
  std::unique_ptr<ScheduledBatch> BatchEnded(TimePoint now, LaneId lane, uint64_t batch, bool well,
                                             SchedulerActions& actions);
  // The batch's worker has died, as its result tells: its lanes take nothing before they have come
  // up again. Before the batch is told to have ended.
  void WorkerDied(TimePoint now, ScheduledBatch& batch, SchedulerActions& actions);
  // Puts requests whose worker died back into their places, or refuses them with UNAVAILABLE where
  // no lane will run them.
  void RunAgain(TimePoint now, uint32_t model, Requests requests, SchedulerActions& actions);
  // The backend did not start it. Its members wait again, or are refused with `why`:
  // RESOURCE_EXHAUSTED once the worker has no room for one of them alone and runs nothing else;
  // UNAVAILABLE where no other lane can run it.
  void BatchNotStarted(TimePoint now, LaneId lane, uint64_t batch, const absl::Status& why,
                       SchedulerActions& actions);

  // Does what has fallen due. To be called at NextWakeup(), kNever: nothing will fall due.
  void Tick(TimePoint now, SchedulerActions& actions);
  TimePoint NextWakeup() const { return next_wakeup_; }

  // A request of the model was proven to end its worker. True where the model is paused for that:
  // what waits, and what comes, is refused with UNAVAILABLE until `paused_until`.
  bool NoteProof(TimePoint now, uint32_t model, SchedulerActions& actions);
  TimePoint paused_until(uint32_t model) const { return models_[model].breaker.paused_until(); }

  // Takes out those of the model's waiting requests that the test picks.
  Requests TakeIf(uint32_t model, absl::FunctionRef<bool(const QueuedRequest&)> test);
  // No more requests will come: none that wait are held back for others from now on.
  void StopHoldingBack(TimePoint now, SchedulerActions& actions);
  // Refuses all that waits. From now on nothing waits for a worker to come back.
  void RefuseWaiting(const absl::Status& status, SchedulerActions& actions);

  size_t queued(uint32_t model) const;
  // What has been learnt of the model's times on the pool.
  const CostModel& cost(uint32_t model, uint32_t pool) const {
    return models_[model].seats[pool].cost;
  }

 private:
  // One model on one pool.
  struct Seat {
    // The model is for pools of this kind.
    bool held = false;
    std::vector<bool> runnable;
    uint32_t runnable_lanes = 0;
    // Lanes that may run it at the same time.
    uint32_t limit = 0;
    uint32_t running_lanes = 0;
    int64_t running_rows = 0;
    // When the last batch that was started is predicted to end.
    TimePoint ends_at{};
    // Until then a lane that went down is expected back.
    TimePoint hope_until{};
    // Until then the pool's last worker is kept from what may end it.
    TimePoint spares_until{};
    CostModel cost;
    // Of that what the worker computes, without the way there and back.
    CostModel compute;
    Reappraisal reappraisal;
  };
  struct Model {
    explicit Model(const ModelVersion& model);
    std::string name;
    int64_t version;
    uint32_t handle;
    Duration execution_timeout;
    PlacementMode placement;
    // One batch at a time.
    bool in_order;
    // A batch's worker has died, and its requests, which go first, are not back in the queue yet.
    bool runs_again = false;
    BatchQueue queue;
    CircuitBreaker breaker;
    // Until then it is to leave lanes to others.
    TimePoint hung_until{};
    // By pool.
    std::vector<Seat> seats;
    // It stands in active_.
    bool active = false;
  };
  // A request that may have ended its worker and waits for its trial.
  struct Suspect {
    uint32_t model = 0;
    std::unique_ptr<QueuedRequest> request;
    // Whose worker is held for it.
    std::optional<LaneId> lane;
  };
  // Where the next batch of a model goes; no lane: nowhere at present.
  struct Choice {
    Lane* lane = nullptr;
    BatchQueue::Limits limits;
    Duration predicted{0};
  };

  // Of the pools that may run a model, or a request.
  using Outlooks = absl::InlinedVector<PoolOutlook, 2>;

  // A lane of the seat can run the model, or is expected to soon.
  bool IsServed(TimePoint now, const Seat& seat) const;
  bool WillRun(TimePoint now, const Model& model, const QueuedRequest& request) const;
  bool Runs(const Lane& lane, uint32_t model) const;
  static int64_t FirstRows(const Model& model);
  bool IsLight(uint32_t model, uint32_t pool) const;
  bool MayUse(uint32_t model, const Lane& lane) const;
  static bool IsLate(TimePoint now, const Lane& lane);
  bool NeedsExpress(TimePoint now, uint32_t model, uint32_t pool) const;
  bool HasRoom(TimePoint now, uint32_t model, const Lane& lane) const;
  bool HasItsLanes(TimePoint now, const Model& model, uint32_t pool) const;
  static bool LanesKeepUp(TimePoint now, const Model& model, const Seat& seat);
  bool MayFollow(TimePoint now, uint32_t model, const Lane& lane) const;
  TimePoint NextMayFollowAt(uint32_t model, const Lane& lane) const;
  bool OlderWaits(TimePoint now, uint32_t model, const Lane& lane) const;
  Lane* RoomyLane(TimePoint now, uint32_t model, uint32_t pool);
  bool IsRunning(const Model& model) const;
  // Whether the model's configuration would rather have its requests elsewhere while it can.
  bool IsSecondChoice(const Model& model, uint32_t pool) const;
  bool HasLaneUp(const Model& model, uint32_t pool) const;
  bool IsToBeTried(TimePoint now, const Model& model, uint32_t pool,
                   const QueuedRequest& request) const;
  bool IsRatherThan(const Model& model, uint32_t pool, uint32_t other, int64_t rows) const;
  PlacementReason ReasonFor(TimePoint now, const Model& model, uint32_t pool,
                            const ScheduledBatch& batch) const;
  BatchQueue::Limits LimitsFor(TimePoint now, uint32_t model, const Lane& lane) const;
  // What is predicted: scheduler_outlook.cc.
  bool IsLong(uint32_t model, uint32_t pool) const;
  static Duration TimeOf(const Model& model, const QueuedRequest& request);
  Duration TimeOfOthers(uint32_t model, uint32_t pool, const QueuedRequest& request,
                        bool only_long) const;
  PoolOutlook Outlook(TimePoint now, uint32_t model, uint32_t pool,
                      const QueuedRequest& request) const;
  bool StandsBy(const Model& model, uint32_t pool) const;
  Outlooks OutlooksFor(TimePoint now, uint32_t model, const QueuedRequest& request) const;
  TimePoint PredictAnswer(TimePoint now, uint32_t model, const QueuedRequest& request) const;
  bool WouldBeLate(TimePoint now, uint32_t model, const QueuedRequest& request,
                   TimePoint deadline) const;
  // DEADLINE_EXCEEDED, or RESOURCE_EXHAUSTED where others are to have the time that is left.
  absl::Status CheckTime(TimePoint now, uint32_t model, const QueuedRequest& request) const;
  Choice Choose(TimePoint now, uint32_t model);

  void ServeModel(TimePoint now, uint32_t model, SchedulerActions& actions);
  void ServeLane(TimePoint now, Lane& lane, SchedulerActions& actions);
  void ServeWorker(TimePoint now, const Lane& lane, SchedulerActions& actions);
  void ServeExpress(TimePoint now, SchedulerActions& actions);
  void StartBatch(TimePoint now, uint32_t model, Lane& lane, const BatchQueue::Limits& limits,
                  SchedulerActions& actions);
  // Makes a batch of them and gives it to the lane.
  ScheduledBatch& Launch(TimePoint now, uint32_t model, Lane& lane, Requests members,
                         SchedulerActions& actions);
  // RESOURCE_EXHAUSTED, without when to try again, where the request may not wait.
  absl::Status CheckRoom(const Model& model, const QueuedRequest& request) const;
  void Enqueue(uint32_t model, std::unique_ptr<QueuedRequest> request);
  // Finds the batches that have used up their budgets.
  void WatchLanes(TimePoint now, SchedulerActions& actions);
  // Of suspects: scheduler_suspects.cc.
  bool HasSuspect(uint32_t model) const;
  bool Spares(TimePoint now, uint32_t model, const Lane& lane) const;
  absl::Status PausedError(TimePoint now, const Model& model) const;
  void ServeSuspects(TimePoint now, SchedulerActions& actions);
  bool Try(TimePoint now, Suspect& suspect, SchedulerActions& actions);
  bool CanTry(const Suspect& suspect, const Lane& lane) const;
  Lane* LaneFor(TimePoint now, const Suspect& suspect);
  bool MayHang(TimePoint now, const Lane& lane) const;
  bool OthersWait(uint32_t model, const Lane& lane) const;
  void RefuseSuspects(TimePoint now, SchedulerActions& actions);
  void NoteDeath(TimePoint now, ScheduledBatch& batch, SchedulerActions& actions);
  void ClearSuspicion(TimePoint now, const ScheduledBatch& batch, SchedulerActions& actions);
  void ClearSuspicion(TimePoint now, QueuedRequest& suspect, std::optional<uint32_t> given_up,
                      SchedulerActions& actions);
  void ReleaseWorker(Suspect& suspect);
  static bool MakeAlone(ScheduledBatch& batch);
  bool RunAlone(TimePoint now, ScheduledBatch& batch, SchedulerActions& actions);
  void UpdateLeastTime(Model& model);
  void ForgetBatch(TimePoint now, const ScheduledBatch& batch);
  void RefuseUnservable(TimePoint now, uint32_t model, SchedulerActions& actions);
  absl::Status NotServedError(const Model& model) const;
  void RefuseDead(TimePoint now, uint32_t model, Requests dead, SchedulerActions& actions);
  void UpdateActive(uint32_t model);
  void NoteWaiting(TimePoint now);
  void NoteLanes(TimePoint now);

  uint32_t max_queue_length_;
  uint64_t max_queue_bytes_;
  Duration restart_patience_;
  LaneTable lanes_;
  std::deque<Model> models_;
  // Numbers whose models were removed.
  std::vector<uint32_t> unused_;
  // Models whose queue is not empty.
  std::vector<uint32_t> active_;
  // In the order of their acceptance.
  std::deque<Suspect> suspects_;
  uint64_t next_sequence_ = 1;
  uint64_t next_batch_ = 1;
  TimePoint next_wakeup_ = kNever;
  // When all that waits is looked over. kNever: nothing waits.
  TimePoint next_sweep_ = kNever;
  // kNever: no batch runs.
  TimePoint next_watch_ = kNever;
};

}  // namespace tandem
