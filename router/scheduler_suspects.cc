// The scheduler's way with suspects: requests that were in a worker when it crashed. Each runs by
// itself in a worker that runs nothing else meanwhile. So a second death names the one that ended
// it, and takes nobody along. They are older than all that waits, and go first.
#include <iterator>
#include <utility>

#include "router/scheduler.h"

namespace tandem {

void Scheduler::ServeSuspects(TimePoint now, SchedulerActions& actions) {
  for (auto it = suspects_.begin(); it != suspects_.end();) {
    it = Try(now, *it, actions) ? suspects_.erase(it) : std::next(it);
  }
}

// True where it has been started.
bool Scheduler::Try(TimePoint now, Suspect& suspect, SchedulerActions& actions) {
  if (suspect.lane.has_value() && !CanTry(suspect, lanes_.lane(*suspect.lane))) Release(suspect);
  if (!suspect.lane.has_value()) {
    Lane* const lane = LaneFor(suspect);
    if (lane == nullptr) return false;
    lanes_.Hold(*lane, true);
    suspect.lane = lane->id;
  }
  Lane& lane = lanes_.lane(*suspect.lane);
  const Seat& seat = models_[suspect.model].seats[lane.id.pool];
  if (!lanes_.IsIdle(lane) || seat.running_lanes >= seat.limit) return false;
  if (models_[suspect.model].in_order && IsRunning(models_[suspect.model])) return false;
  if (IsDead(*suspect.request, now)) return false;
  Requests members;
  members.push_back(std::move(suspect.request));
  Launch(now, suspect.model, lane, std::move(members), actions).is_trial = true;
  return true;
}

bool Scheduler::CanTry(const Suspect& suspect, const Lane& lane) const {
  const Model& model = models_[suspect.model];
  const uint32_t pool = lane.id.pool;
  if (!lane.up || lane.loading || !model.seats[pool].runnable[lane.id.lane] ||
      !MayRunOn(*suspect.request, lanes_.kind(pool))) {
    return false;
  }
  if (!IsSecondChoice(model, pool)) return true;
  for (uint32_t other = 0; other < model.seats.size(); ++other) {
    if (model.seats[other].runnable_lanes > 0 && !IsSecondChoice(model, other)) return false;
  }
  return true;
}

// A lane of a worker that is not held yet; an idle one before others.
Lane* Scheduler::LaneFor(const Suspect& suspect) {
  Lane* busy = nullptr;
  for (uint32_t pool = 0; pool < lanes_.pool_count(); ++pool) {
    for (Lane& lane : lanes_.lanes(pool)) {
      if (!lanes_.IsOpen(lane) || !CanTry(suspect, lane)) continue;
      if (lanes_.IsIdle(lane)) return &lane;
      if (busy == nullptr) busy = &lane;
    }
  }
  return busy;
}

// Those whom nobody waits for any more, and those that no worker will come back for.
void Scheduler::RefuseSuspects(TimePoint now, SchedulerActions& actions) {
  for (auto it = suspects_.begin(); it != suspects_.end();) {
    const Model& model = models_[it->model];
    const bool is_dead = IsDead(*it->request, now);
    if (!is_dead && WillRun(now, model, *it->request)) {
      ++it;
      continue;
    }
    Release(*it);
    if (is_dead) {
      Requests one;
      one.push_back(std::move(it->request));
      RefuseDead(now, model, std::move(one), actions);
    } else {
      actions.refusals.push_back({std::move(it->request), NotServed(model)});
    }
    it = suspects_.erase(it);
  }
}

// The worker that is held for it may take others again.
void Scheduler::Release(Suspect& suspect) {
  if (!suspect.lane.has_value()) return;
  lanes_.Hold(lanes_.lane(*suspect.lane), false);
  suspect.lane.reset();
}

}  // namespace tandem
