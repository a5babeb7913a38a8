// The scheduler's choices: which lane takes a model's next batch, and which model a lane takes
// next.
#include <algorithm>

#include "router/scheduler.h"

namespace tandem {
namespace {

// What a batch is reckoned with while nobody knows how long it takes.
constexpr Duration kUnknownBatchTime = std::chrono::milliseconds(10);

}  // namespace

Duration Scheduler::Predicted(uint32_t model, uint32_t pool, int64_t rows) const {
  return models_[model].seats[pool].cost.Predict(rows);
}

bool Scheduler::Runs(const Lane& lane, uint32_t model) const {
  return std::any_of(lane.batches.begin(), lane.batches.end(),
                     [&](const auto& batch) { return batch->model == model; });
}

// Whether the lane may be given a batch of the model.
bool Scheduler::HasRoom(uint32_t model, const Lane& lane) const {
  const Model& wanted = models_[model];
  const Seat& seat = wanted.seats[lane.id.pool];
  if (!seat.runnable[lane.id.lane] || !lanes_.IsOpen(lane)) return false;
  if (lane.batches.size() >= kLaneDepth) return false;
  if (seat.running_lanes >= seat.limit && !Runs(lane, model)) return false;
  if (lane.batches.empty()) return true;
  return lane.batches.front()->predicted < kShortBatch && seat.cost.known() &&
         seat.cost.Predict(wanted.queue.next_rows()) < kShortBatch && !OlderWaits(model, lane);
}

// Whether another model waits for the lane to become idle. Without this, short batches could keep a
// lane for ever from a model with long ones.
bool Scheduler::OlderWaits(uint32_t model, const Lane& lane) const {
  const PoolKind kind = lanes_.kind(lane.id.pool);
  const uint64_t own = models_[model].queue.front().sequence;
  return std::any_of(active_.begin(), active_.end(), [&](uint32_t other) {
    const QueuedRequest& oldest = models_[other].queue.front();
    return other != model && oldest.sequence < own && MayRunOn(oldest, kind) &&
           models_[other].seats[lane.id.pool].runnable[lane.id.lane];
  });
}

// An idle lane of the pool for the model, else one that may take a second batch, else null.
Lane* Scheduler::RoomyLane(uint32_t model, uint32_t pool) {
  Lane* second = nullptr;
  for (Lane& lane : lanes_.lanes(pool)) {
    if (lane.batches.size() >= kLaneDepth || (second != nullptr && !lane.batches.empty())) continue;
    if (!HasRoom(model, lane)) continue;
    if (lane.batches.empty()) return &lane;
    second = &lane;
  }
  return second;
}

// Time that each lane of the pool will spend on other models' requests that wait already.
Duration Scheduler::TimeOfOthers(uint32_t model, uint32_t pool) const {
  Duration total{0};
  for (const uint32_t other : active_) {
    const Seat& seat = models_[other].seats[pool];
    if (other == model || seat.runnable_lanes == 0 || !seat.cost.known()) continue;
    const BatchQueue& queue = models_[other].queue;
    const int64_t full = queue.full_rows();
    total += seat.cost.Predict(full) * ((queue.rows() + full - 1) / full);
  }
  return total / std::max<int64_t>(1, static_cast<int64_t>(lanes_.lanes(pool).size()));
}

PoolOutlook Scheduler::Outlook(TimePoint now, uint32_t model, uint32_t pool) const {
  const Model& wanted = models_[model];
  const Seat& seat = wanted.seats[pool];
  PoolOutlook outlook;
  outlook.known = seat.cost.known();
  outlook.trying = seat.running_lanes > 0;
  outlook.batch_rows = wanted.queue.next_rows();
  outlook.batch_time = seat.cost.Predict(outlook.batch_rows);
  outlook.full_batch_rows = wanted.queue.full_rows();
  outlook.full_batch_time = seat.cost.Predict(outlook.full_batch_rows);
  const Duration others = TimeOfOthers(model, pool);
  // Lanes that run the model come first: where it is limited to some lanes, they are those.
  for (const bool running : {true, false}) {
    for (const Lane& lane : lanes_.lanes(pool)) {
      if (outlook.lanes_free_at.size() >= seat.limit) break;
      if (!seat.runnable[lane.id.lane] || !lane.up || Runs(lane, model) != running) continue;
      const TimePoint free_at = lane.batches.empty() ? now : std::max(now, lane.busy_until);
      outlook.lanes_free_at.push_back(free_at + others);
    }
  }
  return outlook;
}

int64_t Scheduler::RowsLeftToOthers(TimePoint now, uint32_t model, uint32_t pool) const {
  absl::InlinedVector<PoolOutlook, 2> others;
  const std::vector<Seat>& seats = models_[model].seats;
  for (uint32_t other = 0; other < seats.size(); ++other) {
    if (other == pool || seats[other].runnable_lanes == 0) continue;
    others.push_back(Outlook(now, model, other));
  }
  if (others.empty()) return 0;
  return RowsToLeave(now, Outlook(now, model, pool), others);
}

Scheduler::Choice Scheduler::Choose(TimePoint now, uint32_t model) {
  const Model& wanted = models_[model];
  Choice best;
  for (uint32_t pool = 0; pool < wanted.seats.size(); ++pool) {
    const Seat& seat = wanted.seats[pool];
    if (seat.runnable_lanes == 0) continue;
    Lane* lane = RoomyLane(model, pool);
    if (lane == nullptr) continue;
    const int64_t leave = RowsLeftToOthers(now, model, pool);
    const BatchQueue::Prospect prospect = wanted.queue.Peek(now, lanes_.kind(pool), leave);
    if (prospect.oldest == nullptr || !prospect.due) continue;
    // A pool that is still to be tried goes first, else the fastest.
    const Duration predicted = seat.cost.known() ? seat.cost.Predict(prospect.rows) : Duration{0};
    if (best.lane == nullptr || predicted < best.predicted) best = {lane, leave, predicted};
  }
  return best;
}

void Scheduler::ServeModel(TimePoint now, uint32_t model, SchedulerActions& actions) {
  while (models_[model].active) {
    const Choice choice = Choose(now, model);
    if (choice.lane == nullptr) return;
    StartBatch(now, model, *choice.lane, choice.rows_to_leave, actions);
  }
}

void Scheduler::ServeLane(TimePoint now, Lane& lane, SchedulerActions& actions) {
  while (lanes_.IsOpen(lane) && lane.batches.size() < kLaneDepth) {
    const QueuedRequest* oldest = nullptr;
    uint32_t chosen = 0;
    int64_t rows_to_leave = 0;
    for (const uint32_t model : active_) {
      if (!HasRoom(model, lane)) continue;
      const int64_t leave = RowsLeftToOthers(now, model, lane.id.pool);
      const BatchQueue::Prospect prospect =
          models_[model].queue.Peek(now, lanes_.kind(lane.id.pool), leave);
      if (prospect.oldest == nullptr || !prospect.due) continue;
      if (oldest != nullptr && oldest->sequence < prospect.oldest->sequence) continue;
      oldest = prospect.oldest;
      chosen = model;
      rows_to_leave = leave;
    }
    if (oldest == nullptr) return;
    StartBatch(now, chosen, lane, rows_to_leave, actions);
  }
}

// Serves all lanes of the lane's worker, which has room again.
void Scheduler::ServeWorker(TimePoint now, const Lane& lane, SchedulerActions& actions) {
  for (Lane& other : lanes_.lanes(lane.id.pool)) {
    if (active_.empty()) return;
    if (other.worker == lane.worker) ServeLane(now, other, actions);
  }
}

void Scheduler::StartBatch(TimePoint now, uint32_t model, Lane& lane, int64_t rows_to_leave,
                           SchedulerActions& actions) {
  Model& wanted = models_[model];
  Seat& seat = wanted.seats[lane.id.pool];
  Requests dead;
  Requests members = wanted.queue.Take(now, lanes_.kind(lane.id.pool), rows_to_leave, dead);
  RefuseDead(now, wanted, std::move(dead), actions);
  UpdateActive(model);
  if (members.empty()) return;
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
  batch->predicted = seat.cost.known() ? seat.cost.Predict(batch->batch.rows) : kUnknownBatchTime;
  if (!Runs(lane, model)) ++seat.running_lanes;
  actions.starts.push_back(batch.get());
  lanes_.Start(now, std::move(batch));
}

}  // namespace tandem
