// The scheduler's choices: which lane takes a model's next batch, and which model a lane takes
// next.
#include <algorithm>
#include <limits>

#include "router/execution_budget.h"
#include "router/scheduler.h"

namespace tandem {
namespace {

// What a batch is reckoned with while nobody knows how long it takes.
constexpr Duration kUnknownBatchTime = std::chrono::milliseconds(10);

constexpr int64_t kAllRows = std::numeric_limits<int64_t>::max();

}  // namespace

bool Scheduler::Runs(const Lane& lane, uint32_t model) const {
  return std::any_of(lane.batches.begin(), lane.batches.end(),
                     [&](const auto& batch) { return batch->model == model; });
}

// Rows of the request that goes next, or of one that may come.
int64_t Scheduler::FirstRows(const Model& model) {
  return model.queue.empty() ? 1 : model.queue.front().rows;
}

// Whether the model's next batch is one for an express lane.
bool Scheduler::IsLight(uint32_t model, uint32_t pool) const {
  const CostModel& cost = models_[model].seats[pool].cost;
  return cost.known() && cost.Predict(FirstRows(models_[model])) <= kExpressBatch;
}

bool Scheduler::MayUse(uint32_t model, const Lane& lane) const {
  return models_[model].seats[lane.id.pool].runnable[lane.id.lane] &&
         (!lane.express || IsLight(model, lane.id.pool));
}

bool Scheduler::IsLate(TimePoint now, const Lane& lane) {
  return !lane.batches.empty() && now > lane.busy_until + kLate;
}

// Whether a light model's batch would wait on each of the pool's other lanes for much longer than
// it takes: for what runs there, or for long batches of others that go before it. Else they are
// enough: more threads than cores make nothing faster.
bool Scheduler::NeedsExpress(TimePoint now, uint32_t model, uint32_t pool) const {
  const Model& wanted = models_[model];
  const Duration own = wanted.seats[pool].cost.Predict(FirstRows(wanted));
  const Duration least = std::max(kShortBatch, own * kExpressGain);
  const std::vector<Lane>& lanes = lanes_.lanes(pool);
  const bool all_are_taken = std::all_of(lanes.begin(), lanes.end(), [&](const Lane& lane) {
    return lane.express || !lane.up || !lane.batches.empty();
  });
  if (!all_are_taken) return false;
  const bool all_take_long = std::all_of(lanes.begin(), lanes.end(), [&](const Lane& lane) {
    return lane.express || !lane.up || IsLate(now, lane) ||
           lane.batches.front()->predicted >= least;
  });
  if (all_take_long || wanted.queue.empty()) return all_take_long;
  return TimeOfOthers(model, pool, wanted.queue.front(), /*only_long=*/true) >= least;
}

// Whether the lane may be given a batch of the model.
bool Scheduler::HasRoom(TimePoint now, uint32_t model, const Lane& lane) const {
  const Model& wanted = models_[model];
  const Seat& seat = wanted.seats[lane.id.pool];
  if (!MayUse(model, lane) || !lanes_.IsOpen(lane)) return false;
  if (lane.express && !NeedsExpress(now, model, lane.id.pool)) return false;
  if (lane.batches.size() >= kLaneDepth || IsLate(now, lane)) return false;
  if (!Runs(lane, model)) {
    if (HasItsLanes(now, wanted, lane.id.pool) || LanesKeepUp(now, wanted, seat)) return false;
  }
  if (wanted.in_order && (IsRunning(wanted) || wanted.runs_again || HasSuspect(model)))
    return false;
  if (wanted.breaker.has_offended() && (HasSuspect(model) || !Spares(now, model, lane))) {
    return false;
  }
  return lane.batches.empty() || (!lane.has_no_room_behind && MayFollow(now, model, lane));
}

// Whether the lanes that run the model will be done with all of it before another one would be of
// use. Not where none runs it, nor where they do not answer when they should.
bool Scheduler::LanesKeepUp(TimePoint now, const Model& model, const Seat& seat) {
  if (!seat.compute.known() || now > seat.ends_at + kLate) return false;
  const int64_t rows = seat.running_rows + model.queue.rows();
  const int64_t full = model.queue.full_rows();
  const int64_t batches = (rows + full - 1) / full;
  return batches * seat.compute.Predict(std::min(rows, full)) < seat.running_lanes * kWorthAWake;
}

// Whether a batch of the model may wait in the ring of the lane behind those that it has.
bool Scheduler::MayFollow(TimePoint now, uint32_t model, const Lane& lane) const {
  const Model& wanted = models_[model];
  const CostModel& cost = wanted.seats[lane.id.pool].cost;
  if (!cost.known() || OlderWaits(now, model, lane)) return false;
  const Duration running = lane.batches.front()->predicted;
  if (running >= kShortBatch) return NextMayFollowAt(model, lane) <= now;
  const Duration next = cost.Predict(wanted.queue.next_rows());
  if (lane.batches.size() == 1) return next < kShortBatch;
  // Requests that can join others do so better in the queue than one behind the other in the ring.
  if (wanted.queue.joins()) return false;
  Duration total = next;
  for (const auto& batch : lane.batches) total += batch->predicted;
  return total < kShortBatch;
}

// When the model's next batch may go to the lane, which runs one that is not short; kNever: not
// before that has ended. A batch that may grow waits for that, and so does another model's, since
// the one that runs may hang.
TimePoint Scheduler::NextMayFollowAt(uint32_t model, const Lane& lane) const {
  if (lane.batches.size() != 1) return kNever;
  const ScheduledBatch& running = *lane.batches.front();
  const BatchQueue& queue = models_[model].queue;
  if (running.predicted < kShortBatch || running.model != model) return kNever;
  if (queue.rows() < queue.full_rows()) return kNever;
  const Duration next = models_[model].seats[lane.id.pool].cost.PredictLate(queue.next_rows());
  if (queue.front().deadline() < lane.busy_until + running.predicted + next) return kNever;
  return lane.busy_until - std::max(kLeastLead, running.predicted / kLeadPart);
}

// Whether another model waits for the lane to become idle. Without this, short batches could keep a
// lane for ever from a model with long ones.
bool Scheduler::OlderWaits(TimePoint now, uint32_t model, const Lane& lane) const {
  const PoolKind kind = lanes_.kind(lane.id.pool);
  const QueuedRequest& own = models_[model].queue.front();
  return std::any_of(active_.begin(), active_.end(), [&](uint32_t number) {
    if (number == model) return false;
    const Model& other = models_[number];
    const QueuedRequest& oldest = other.queue.front();
    if (!IsMoreUrgent(oldest, own) || !MayRunOn(oldest, kind) || !MayUse(number, lane))
      return false;
    if (other.in_order && IsRunning(other)) return false;
    return Runs(lane, number) || !HasItsLanes(now, other, lane.id.pool);
  });
}

// Of the pool's lanes with room for the model the one that holds the fewest batches; null: none
// has.
Lane* Scheduler::RoomyLane(TimePoint now, uint32_t model, uint32_t pool) {
  Lane* roomiest = nullptr;
  for (Lane& lane : lanes_.lanes(pool)) {
    if (roomiest != nullptr && lane.batches.size() >= roomiest->batches.size()) continue;
    if (!HasRoom(now, model, lane)) continue;
    roomiest = &lane;
    if (lane.batches.empty()) break;
  }
  return roomiest;
}

bool Scheduler::IsRunning(const Model& model) const {
  return std::any_of(model.seats.begin(), model.seats.end(),
                     [](const Seat& seat) { return seat.running_lanes > 0; });
}

bool Scheduler::IsSecondChoice(const Model& model, uint32_t pool) const {
  const PoolKind kind = lanes_.kind(pool);
  switch (model.placement) {
    case PlacementMode::kPreferCpu:
      return kind != PoolKind::kCpu;
    case PlacementMode::kPreferGpu:
    case PlacementMode::kFallback:
      return kind != PoolKind::kGpu;
    case PlacementMode::kAuto:
    case PlacementMode::kCpu:
    case PlacementMode::kGpu:
      break;
  }
  return false;
}

// False also where its workers have died and the pool has not told yet that the lanes are down.
bool Scheduler::HasLaneUp(const Model& model, uint32_t pool) const {
  const std::vector<Lane>& lanes = lanes_.lanes(pool);
  return std::any_of(lanes.begin(), lanes.end(), [&](const Lane& lane) {
    return lane.up && model.seats[pool].runnable[lane.id.lane];
  });
}

// Whether the request is to find out how long the pool takes now: it has had nothing for a while,
// and is the fastest if it takes as long as it once did.
bool Scheduler::IsToBeTried(TimePoint now, const Model& model, uint32_t pool,
                            const QueuedRequest& request) const {
  const Seat& own = model.seats[pool];
  if (!own.cost.known() || own.running_lanes > 0 || !own.reappraisal.IsDue(now)) return false;
  if (IsSecondChoice(model, pool)) return false;
  if (request.deadline() - own.cost.PredictLate(request.rows) < now) return false;
  Duration fastest = Duration::max();
  for (uint32_t other = 0; other < model.seats.size(); ++other) {
    const Seat& seat = model.seats[other];
    if (other == pool || seat.runnable_lanes == 0 || !seat.cost.known()) continue;
    fastest = std::min(fastest, seat.cost.Predict(1));
  }
  return own.reappraisal.least() < fastest && own.cost.Predict(1) > fastest;
}

// Whether the model would rather have a batch of so many rows on `pool` than on `other`.
bool Scheduler::IsRatherThan(const Model& model, uint32_t pool, uint32_t other,
                             int64_t rows) const {
  const bool second = IsSecondChoice(model, pool);
  if (second != IsSecondChoice(model, other)) return !second;
  const CostModel& cost = model.seats[pool].cost;
  const CostModel& others = model.seats[other].cost;
  return cost.known() && others.known() && cost.Predict(rows) < others.Predict(rows);
}

PlacementReason Scheduler::ReasonFor(TimePoint now, const Model& model, uint32_t pool,
                                     const ScheduledBatch& batch) const {
  const int64_t rows = batch.batch.rows;
  const Seat& own = model.seats[pool];
  PlacementReason reason = PlacementReason::kOnlyPool;
  for (uint32_t other = 0; other < model.seats.size(); ++other) {
    const Seat& seat = model.seats[other];
    if (other == pool || !seat.held) continue;
    if (!HasLaneUp(model, other)) {
      if (reason != PlacementReason::kOnlyPool) continue;
      reason = IsRatherThan(model, other, pool, rows) ? PlacementReason::kOtherDown
                                                      : PlacementReason::kFirstChoice;
      continue;
    }
    if (!own.cost.known()) return PlacementReason::kLearning;
    if (IsSecondChoice(model, pool) && !IsSecondChoice(model, other)) {
      return PlacementReason::kDeadline;
    }
    if (IsToBeTried(now, model, pool, *batch.members[0])) return PlacementReason::kLearning;
    if (seat.cost.known() && seat.cost.Predict(rows) < own.cost.Predict(rows) &&
        model.placement == PlacementMode::kAuto) {
      return PlacementReason::kSooner;
    }
    reason = PlacementReason::kFirstChoice;
  }
  return reason;
}

// What the lane, which has room, may take of the model's requests.
BatchQueue::Limits Scheduler::LimitsFor(TimePoint now, uint32_t model, const Lane& lane) const {
  const Model& wanted = models_[model];
  const uint32_t pool = lane.id.pool;
  BatchQueue::Limits limits;
  limits.kind = lanes_.kind(pool);
  const CostModel& cost = wanted.seats[pool].cost;
  if (cost.known()) limits.cost = &cost;
  if (lane.express) limits.max_rows = std::max<int64_t>(1, cost.RowsWithin(kExpressBatch));
  const TimePoint start = lane.batches.empty() ? now : std::max(now, lane.busy_until);
  limits.starts_in = start - now;
  limits.running = IsRunning(wanted);
  const bool second_choice = IsSecondChoice(wanted, pool);
  const QueuedRequest& first = wanted.queue.front();
  if (lane.batches.empty() && IsToBeTried(now, wanted, pool, first)) {
    limits.max_rows = first.rows;
    return limits;
  }
  Outlooks others;
  Outlooks preferred;
  for (uint32_t other = 0; other < wanted.seats.size(); ++other) {
    if (other == pool || wanted.seats[other].runnable_lanes == 0) continue;
    // A pool of the first choice does not wait for one of the second.
    if (!second_choice && IsSecondChoice(wanted, other)) continue;
    others.push_back(Outlook(now, model, other, first));
    if (second_choice && !IsSecondChoice(wanted, other)) preferred.push_back(others.back());
  }
  if (others.empty()) return limits;
  const Share share =
      ShareOf(start, wanted.queue.rows(), first.rows, Outlook(now, model, pool, first), others);
  limits.max_rows = std::min(limits.max_rows, share.rows);
  if (share.none || StandsBy(wanted, pool)) {
    limits.rows_to_leave = kAllRows;
  } else if (!preferred.empty()) {
    const BatchQueue::LateRows late = wanted.queue.FindLate(now, [&](TimePoint deadline) {
      int64_t rows = 0;
      for (const PoolOutlook& each : preferred) rows += RowsDoneBy(now, deadline, each);
      return rows;
    });
    limits.rows_to_leave = late.rows == 0 ? kAllRows : late.before;
    limits.max_rows = std::min(limits.max_rows, std::max<int64_t>(late.rows, 1));
  }
  return limits;
}

Scheduler::Choice Scheduler::Choose(TimePoint now, uint32_t model) {
  const Model& wanted = models_[model];
  Choice best;
  for (uint32_t pool = 0; pool < wanted.seats.size(); ++pool) {
    const Seat& seat = wanted.seats[pool];
    if (seat.runnable_lanes == 0) continue;
    Lane* lane = RoomyLane(now, model, pool);
    if (lane == nullptr) continue;
    const BatchQueue::Limits limits = LimitsFor(now, model, *lane);
    const BatchQueue::Prospect prospect = wanted.queue.Peek(now, limits);
    if (prospect.first == nullptr || !prospect.due) continue;
    // A pool that is still to be tried goes first, else the fastest.
    const bool is_trial =
        !seat.cost.known() || IsToBeTried(now, wanted, pool, wanted.queue.front());
    const Duration predicted = is_trial ? Duration{0} : seat.cost.Predict(prospect.rows);
    if (best.lane == nullptr || predicted < best.predicted) best = {lane, limits, predicted};
  }
  return best;
}

void Scheduler::ServeModel(TimePoint now, uint32_t model, SchedulerActions& actions) {
  while (models_[model].active) {
    const Choice choice = Choose(now, model);
    if (choice.lane == nullptr) return;
    StartBatch(now, model, *choice.lane, choice.limits, actions);
  }
}

void Scheduler::ServeLane(TimePoint now, Lane& lane, SchedulerActions& actions) {
  while (lanes_.IsOpen(lane) && lane.batches.size() < kLaneDepth) {
    const QueuedRequest* first = nullptr;
    uint32_t chosen = 0;
    BatchQueue::Limits chosen_limits;
    for (const uint32_t model : active_) {
      if (!HasRoom(now, model, lane)) continue;
      const BatchQueue::Limits limits = LimitsFor(now, model, lane);
      const BatchQueue::Prospect prospect = models_[model].queue.Peek(now, limits);
      if (prospect.first == nullptr || !prospect.due) continue;
      if (first != nullptr && !IsMoreUrgent(*prospect.first, *first)) continue;
      first = prospect.first;
      chosen = model;
      chosen_limits = limits;
    }
    if (first == nullptr) return;
    StartBatch(now, chosen, lane, chosen_limits, actions);
  }
}

// Serves all lanes of the lane's worker, which has room again.
void Scheduler::ServeWorker(TimePoint now, const Lane& lane, SchedulerActions& actions) {
  for (Lane& other : lanes_.lanes(lane.id.pool)) {
    if (active_.empty()) return;
    if (other.worker == lane.worker) ServeLane(now, other, actions);
  }
}

// What is light and waits, where the other lanes were given what takes long.
void Scheduler::ServeExpress(TimePoint now, SchedulerActions& actions) {
  for (const LaneId id : lanes_.express_lanes()) {
    if (active_.empty()) return;
    ServeLane(now, lanes_.lane(id), actions);
  }
}

void Scheduler::StartBatch(TimePoint now, uint32_t model, Lane& lane,
                           const BatchQueue::Limits& limits, SchedulerActions& actions) {
  Model& wanted = models_[model];
  Requests dead;
  Requests members = wanted.queue.Take(now, limits, dead);
  RefuseDead(now, model, std::move(dead), actions);
  UpdateActive(model);
  if (!members.empty()) Launch(now, model, lane, std::move(members), actions);
}

ScheduledBatch& Scheduler::Launch(TimePoint now, uint32_t model, Lane& lane, Requests members,
                                  SchedulerActions& actions) {
  Model& wanted = models_[model];
  Seat& seat = wanted.seats[lane.id.pool];
  auto batch = std::make_unique<ScheduledBatch>();
  batch->model = model;
  batch->lane = lane.id;
  batch->batch.id = next_batch_++;
  batch->batch.model_handle = wanted.handle;
  batch->batch.model = wanted.name;
  batch->batch.rows = 0;
  batch->batch.member_inputs.reserve(members.size());
  for (const auto& member : members) {
    batch->batch.rows += member->rows;
    batch->batch.member_inputs.push_back(member->inputs);
  }
  batch->members = std::move(members);
  const Duration learnt = seat.cost.known() ? seat.cost.Predict(batch->batch.rows) : Duration{0};
  batch->predicted = seat.cost.known() ? learnt : kUnknownBatchTime;
  batch->may_be_late =
      seat.cost.known() ? seat.cost.PredictLate(batch->batch.rows) - learnt : kUnknownBatchTime;
  batch->reason = ReasonFor(now, wanted, lane.id.pool, *batch);
  batch->budget = ExecutionBudget(wanted.execution_timeout, learnt);
  if (next_watch_ == kNever) next_watch_ = now + kWatchInterval;
  next_wakeup_ = std::min(next_wakeup_, next_watch_);
  if (!Runs(lane, model)) ++seat.running_lanes;
  seat.running_rows += batch->batch.rows;
  UpdateLeastTime(wanted);
  ScheduledBatch& started = *batch;
  actions.starts.push_back(&started);
  lanes_.Start(now, std::move(batch));
  seat.ends_at = lane.busy_until;
  return started;
}

}  // namespace tandem
