// What the scheduler predicts of its pools: when their lanes will be free, and when a request that
// comes now would be answered.
#include <algorithm>
#include <cmath>

#include "router/scheduler.h"

namespace tandem {
namespace {

// When the lane is expected to be free. One whose batch takes more than twice as long as predicted,
// and longer than nine of ten do, is expected to be late by as much again: the longer it has been,
// the more likely it hangs. Less than that is nothing to leave the faster pool for: a machine that
// stood still for a moment makes all lanes late, and their ends are about to be told.
TimePoint FreeAt(TimePoint now, const Lane& lane) {
  if (lane.batches.empty()) return now;
  const Duration late = now - lane.busy_until;
  if (late <= Duration{0}) return lane.busy_until;
  const ScheduledBatch& last = *lane.batches.back();
  return late > std::max(last.may_be_late, last.predicted) ? now + late : now;
}

}  // namespace

// Whether a batch of the other model goes before the request and holds its lane for long.
bool Scheduler::IsLong(uint32_t model, uint32_t pool) const {
  const CostModel& cost = models_[model].seats[pool].cost;
  return cost.known() && cost.Predict(models_[model].queue.next_rows()) > kExpressBatch;
}

// What the request takes by itself where that is fastest. A quarter of the time that it has where
// nobody knows.
Duration Scheduler::TimeOf(const Model& model, const QueuedRequest& request) {
  Duration least = Duration::max();
  for (const Seat& seat : model.seats) {
    if (seat.runnable_lanes == 0 || !seat.cost.known()) continue;
    least = std::min(least, seat.cost.Predict(request.rows));
  }
  if (least < Duration::max()) return least;
  const bool has_time = request.deadline() != kNever;
  return has_time ? (request.deadline() - request.arrival()) / 4 : Duration{0};
}

// Time that each lane of the pool, but for express lanes, will spend on requests of other models
// that wait already and go before the request. What several pools run is shared by them, as fast as
// each is. `only_long`: of models alone whose batches are none for an express lane.
Duration Scheduler::TimeOfOthers(uint32_t model, uint32_t pool, const QueuedRequest& request,
                                 bool only_long) const {
  Duration total{0};
  for (const uint32_t other : active_) {
    const Model& waiting = models_[other];
    const Seat& seat = waiting.seats[pool];
    if (other == model || seat.runnable_lanes == 0 || !seat.cost.known()) continue;
    if (only_long && !IsLong(other, pool)) continue;
    const int64_t rows = waiting.queue.RowsMoreUrgentThan(request);
    if (rows == 0) continue;
    const int64_t batch = std::min(rows, waiting.queue.full_rows());
    // Batches a second that the pools do together.
    double rate = 0;
    for (uint32_t each = 0; each < waiting.seats.size(); ++each) {
      const CostModel& cost = waiting.seats[each].cost;
      if (waiting.seats[each].runnable_lanes == 0 || !cost.known()) continue;
      rate += static_cast<double>(lanes_.plain_lanes(each)) /
              ToSeconds(std::max(cost.Predict(batch), Duration{1}));
    }
    const double batches = std::ceil(static_cast<double>(rows) / static_cast<double>(batch));
    if (rate > 0) total += Duration{static_cast<int64_t>(batches / rate * 1e9)};
  }
  return total;
}

PoolOutlook Scheduler::Outlook(TimePoint now, uint32_t model, uint32_t pool,
                               const QueuedRequest& request) const {
  const Model& wanted = models_[model];
  const Seat& seat = wanted.seats[pool];
  PoolOutlook outlook;
  outlook.cost = &seat.cost;
  outlook.trying = seat.running_lanes > 0;
  outlook.full_rows = wanted.queue.full_rows();
  const Duration others = TimeOfOthers(model, pool, request, /*only_long=*/false);
  const bool has_its_lanes = HasItsLanes(now, wanted, pool);
  // Lanes that run the model come first: where it is limited to some lanes, they are those.
  for (const bool running : {true, false}) {
    if (!running && has_its_lanes) break;
    for (const Lane& lane : lanes_.lanes(pool)) {
      if (outlook.lanes_free_at.size() >= seat.limit) break;
      if (!MayUse(model, lane) || !lanes_.IsOpen(lane) || Runs(lane, model) != running) continue;
      if (lane.express && !NeedsExpress(now, model, pool)) continue;
      const TimePoint free_at = FreeAt(now, lane);
      outlook.lanes_free_at.push_back(lane.express ? free_at : free_at + others);
    }
  }
  return outlook;
}

// Whether the pool leaves all of the model's requests, but those that ask for it, to others that
// can run them.
bool Scheduler::StandsBy(const Model& model, uint32_t pool) const {
  if (model.placement != PlacementMode::kFallback || !IsSecondChoice(model, pool)) return false;
  for (uint32_t other = 0; other < model.seats.size(); ++other) {
    if (model.seats[other].runnable_lanes > 0 && !IsSecondChoice(model, other)) return true;
  }
  return false;
}

// Those of the pools that may take the request.
Scheduler::Outlooks Scheduler::OutlooksFor(TimePoint now, uint32_t model,
                                           const QueuedRequest& request) const {
  const Model& wanted = models_[model];
  const bool asks = request.request->pool != PoolPreference::kAny;
  Outlooks outlooks;
  for (uint32_t pool = 0; pool < wanted.seats.size(); ++pool) {
    if (wanted.seats[pool].runnable_lanes == 0 || !MayRunOn(request, lanes_.kind(pool))) continue;
    if (asks || !StandsBy(wanted, pool)) outlooks.push_back(Outlook(now, model, pool, request));
  }
  return outlooks;
}

// Whether the request, which is not in the queue yet, would be answered after that deadline with
// what goes before it. Not where a pool's speed is unknown, and not where it alone could tell that
// a prediction is wrong.
bool Scheduler::WouldBeLate(TimePoint now, uint32_t model, const QueuedRequest& request,
                            TimePoint deadline) const {
  const Model& wanted = models_[model];
  int64_t rows = wanted.queue.RowsBefore(request) + request.rows;
  const Outlooks outlooks = OutlooksFor(now, model, request);
  for (const PoolOutlook& outlook : outlooks) {
    // Without lanes its workers are away, nobody knows for how long.
    if (!outlook.cost->known() || outlook.lanes_free_at.empty()) return false;
    rows -= RowsDoneBy(now, deadline, outlook);
    if (rows <= 0) return false;
  }
  return !outlooks.empty() && (IsRunning(wanted) || !wanted.queue.empty());
}

TimePoint Scheduler::PredictAnswer(TimePoint now, uint32_t model,
                                   const QueuedRequest& request) const {
  const BatchQueue& queue = models_[model].queue;
  return DoneAt(now, queue.RowsBefore(request) + request.rows, OutlooksFor(now, model, request));
}

}  // namespace tandem
