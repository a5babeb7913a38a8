// What the scheduler predicts of its pools: when their lanes will be free, and when a request that
// comes now would be answered.
#include <algorithm>

#include "router/scheduler.h"

namespace tandem {
namespace {

// When the lane is expected to be free. One that is later than nine of ten would be is expected to
// be late by as much again: the longer it has been, the more likely it hangs.
TimePoint FreeAt(TimePoint now, const Lane& lane) {
  if (lane.batches.empty()) return now;
  const Duration late = now - lane.busy_until;
  if (late <= Duration{0}) return lane.busy_until;
  return late > lane.batches.back()->may_be_late ? now + late : now;
}

}  // namespace

// Time that each lane of the pool, but for express lanes, will spend on other models' requests that
// wait already.
Duration Scheduler::TimeOfOthers(uint32_t model, uint32_t pool) const {
  Duration total{0};
  for (const uint32_t other : active_) {
    const Seat& seat = models_[other].seats[pool];
    if (other == model || seat.runnable_lanes == 0 || !seat.cost.known()) continue;
    const BatchQueue& queue = models_[other].queue;
    const int64_t full = queue.full_rows();
    total += seat.cost.Predict(full) * ((queue.rows() + full - 1) / full);
  }
  const std::vector<Lane>& lanes = lanes_.lanes(pool);
  return total /
         std::max<int64_t>(1, std::count_if(lanes.begin(), lanes.end(),
                                            [](const Lane& lane) { return !lane.express; }));
}

PoolOutlook Scheduler::Outlook(TimePoint now, uint32_t model, uint32_t pool) const {
  const Model& wanted = models_[model];
  const Seat& seat = wanted.seats[pool];
  PoolOutlook outlook;
  outlook.cost = &seat.cost;
  outlook.trying = seat.running_lanes > 0;
  outlook.full_rows = wanted.queue.full_rows();
  const Duration others = TimeOfOthers(model, pool);
  // Lanes that run the model come first: where it is limited to some lanes, they are those.
  for (const bool running : {true, false}) {
    for (const Lane& lane : lanes_.lanes(pool)) {
      if (outlook.lanes_free_at.size() >= seat.limit) break;
      if (!MayUse(model, lane) || !lane.up || Runs(lane, model) != running) continue;
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
    if (asks || !StandsBy(wanted, pool)) outlooks.push_back(Outlook(now, model, pool));
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
