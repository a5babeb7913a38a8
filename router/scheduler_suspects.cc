// The scheduler's way with suspects: requests that ran in a worker when it crashed. Each runs by
// itself in a worker that runs nothing else meanwhile. So a second death names the one that ended
// it, and takes nobody along. They are older than all that waits, and go first.
#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/retry_hint.h"
#include "router/scheduler.h"

namespace tandem {

void Scheduler::ServeSuspects(TimePoint now, SchedulerActions& actions) {
  for (auto it = suspects_.begin(); it != suspects_.end();) {
    it = Try(now, *it, actions) ? suspects_.erase(it) : std::next(it);
  }
}

void Scheduler::RunAgain(TimePoint now, uint32_t model, Requests requests,
                         SchedulerActions& actions) {
  models_[model].runs_again = false;
  for (auto& request : requests) {
    // It has waited in the queue as long as its model allows, or less.
    request->wait_until = kNever;
    request->spared_until = now + kLongestSparing;
    // The next time it is to be known which one hangs.
    request->alone |= request->deaths.hung > 0;
    if (models_[model].breaker.is_open() && !request->is_probe) {
      actions.refusals.push_back({std::move(request), PausedError(now, models_[model])});
    } else if (WillRun(now, models_[model], *request)) {
      Enqueue(model, std::move(request));
    } else {
      actions.refusals.push_back({std::move(request), NotServedError(models_[model])});
    }
  }
  ServeSuspects(now, actions);
  ServeModel(now, model, actions);
  NoteWaiting(now);
}

// True where it has been started.
bool Scheduler::Try(TimePoint now, Suspect& suspect, SchedulerActions& actions) {
  if (suspect.lane.has_value() && !CanTry(suspect, lanes_.lane(*suspect.lane)))
    ReleaseWorker(suspect);
  if (!suspect.lane.has_value()) {
    Lane* const lane = LaneFor(now, suspect);
    if (lane == nullptr) return false;
    lanes_.Hold(*lane, true);
    suspect.lane = lane->id;
  }
  Lane& lane = lanes_.lane(*suspect.lane);
  const Seat& seat = models_[suspect.model].seats[lane.id.pool];
  if (!lanes_.IsIdle(lane)) {
    if (MayHang(now, lane)) ReleaseWorker(suspect);
    return false;
  }
  if (seat.running_lanes >= seat.limit) return false;
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
  if (!lane.up || lane.loading || lane.express || !model.seats[pool].runnable[lane.id.lane] ||
      !MayRunOn(*suspect.request, lanes_.kind(pool))) {
    return false;
  }
  if (!IsSecondChoice(model, pool)) return true;
  for (uint32_t other = 0; other < model.seats.size(); ++other) {
    if (model.seats[other].runnable_lanes > 0 && !IsSecondChoice(model, other)) return false;
  }
  return true;
}

bool Scheduler::HasSuspect(uint32_t model) const {
  return std::any_of(suspects_.begin(), suspects_.end(),
                     [&](const Suspect& each) { return each.model == model; });
}

// Whether the pool keeps a worker for the other models, should a batch of this one end the lane's:
// one that is up and holds no suspect, and runs nothing of a model that has ended workers lately.
// Where no other worker comes back soon, there is nothing to wait for.
bool Scheduler::Spares(TimePoint now, uint32_t model, const Lane& lane) const {
  const Seat& seat = models_[model].seats[lane.id.pool];
  const bool is_risky = models_[model].breaker.has_offended();
  const std::vector<Lane>& lanes = lanes_.lanes(lane.id.pool);
  bool may_come = false;
  for (auto first = lanes.begin(); first != lanes.end();) {
    const auto end = std::find_if(first, lanes.end(),
                                  [&](const Lane& other) { return other.worker != first->worker; });
    if (first->worker != lane.worker) {
      const bool is_spare = std::all_of(first, end, [&](const Lane& other) {
        return other.up && !other.loading && !lanes_.IsHeld(other) &&
               !(is_risky && Runs(other, model));
      });
      if (is_spare) return true;
      // One that is up and loads may do so for minutes; one that is not up may not have told yet.
      may_come |= first->up ? !first->loading : seat.runnable[first->id.lane];
      may_come |= now < seat.spares_until;
    }
    first = end;
  }
  return !may_come;
}

// A lane of a worker that is not held yet; an idle one before others.
Lane* Scheduler::LaneFor(TimePoint now, const Suspect& suspect) {
  Lane* busy = nullptr;
  // Another worker may come back and die again for as long as a crash loop lasts.
  const bool must_spare = now < suspect.request->spared_until;
  for (uint32_t pool = 0; pool < lanes_.pool_count(); ++pool) {
    for (Lane& lane : lanes_.lanes(pool)) {
      if (!lanes_.IsOpen(lane) || !CanTry(suspect, lane)) continue;
      if (lanes_.Rests(now, lane) && OthersWait(suspect.model, lane)) continue;
      if (must_spare && !Spares(now, suspect.model, lane)) continue;
      if (lanes_.IsIdle(lane)) return &lane;
      if (busy == nullptr && !MayHang(now, lane)) busy = &lane;
    }
  }
  return busy;
}

// Whether a lane of the lane's worker is late. Then nobody knows when the worker will be idle, and
// it is not cleared meanwhile: its other lanes can serve others.
bool Scheduler::MayHang(TimePoint now, const Lane& lane) const {
  const std::vector<Lane>& lanes = lanes_.lanes(lane.id.pool);
  return std::any_of(lanes.begin(), lanes.end(), [&](const Lane& other) {
    return other.worker == lane.worker && IsLate(now, other);
  });
}

// Whether requests of other models wait that the lane can run. Between two trials they have their
// turn: where many suspects hang, one after the other, nothing else would run in a pool's only
// worker.
bool Scheduler::OthersWait(uint32_t model, const Lane& lane) const {
  return std::any_of(active_.begin(), active_.end(), [&](uint32_t other) {
    return other != model && models_[other].seats[lane.id.pool].runnable[lane.id.lane] &&
           MayRunOn(models_[other].queue.front(), lanes_.kind(lane.id.pool));
  });
}

// Its members may be what ended the worker, and so may, where it did not hang, those of the batches
// that ran beside it and are yet to be told of.
void Scheduler::NoteDeath(TimePoint now, ScheduledBatch& batch, SchedulerActions& actions) {
  const QueuedRequest& first = *batch.members.front();
  const WorkerDeath death = batch.result.death;
  const bool hung = death == WorkerDeath::kHung;
  const bool hung_together = death == WorkerDeath::kHungTogether;
  const bool may_be_it = hung || hung_together || death == WorkerDeath::kFromInside;
  if (hung || hung_together) models_[batch.model].hung_until = now + kHangMemory;
  // A second death is the proof, or says nothing.
  if (first.is_probe || first.deaths.is_suspect() || (hung && first.deaths.hung > 0)) return;
  const Lane& lane = lanes_.lane(batch.lane);
  const Crash* const told_of = first.crash.get();
  if (told_of != nullptr && told_of->worker == lane.worker &&
      told_of->generation == batch.lane_generation) {
    // It was told of with another one. It may not have been run after all.
    if (!may_be_it) ClearSuspicion(now, batch, actions);
    return;
  }
  if (!may_be_it || lane.generation != batch.lane_generation) return;
  if (batch.members.size() == 1 && (hung || lanes_.RunsOneBatch(lane))) {
    batch.members.front()->ended_worker = true;
    return;
  }
  const auto crash = std::make_shared<Crash>();
  crash->worker = lane.worker;
  crash->generation = batch.lane_generation;
  const auto note = [&](const ScheduledBatch& suspects) {
    // It is no more a matter of an earlier hang.
    ClearSuspicion(now, suspects, actions);
    for (const auto& member : suspects.members) member->crash = crash;
    crash->open += suspects.members.size();
  };
  if (hung) return note(batch);
  for (const Lane& beside : lanes_.lanes(batch.lane.pool)) {
    const ScheduledBatch* const running = LaneTable::Running(beside);
    if (beside.worker == lane.worker && running != nullptr) note(*running);
  }
}

// Whether the model runs on as many of the pool's lanes as it may. Those that hung lately have half
// of them together.
bool Scheduler::HasItsLanes(TimePoint now, const Model& model, uint32_t pool) const {
  if (model.seats[pool].running_lanes >= model.seats[pool].limit) return true;
  if (now >= model.hung_until) return false;
  size_t lanes = 0;
  size_t taken = 0;
  for (const Lane& lane : lanes_.lanes(pool)) {
    if (lane.express) continue;
    ++lanes;
    if (lane.batches.empty()) continue;
    if (now < models_[lane.batches.front()->model].hung_until) ++taken;
  }
  return taken >= std::max<size_t>(1, lanes / 2);
}

// They ran and their worker lives, or they did not run when it died.
void Scheduler::ClearSuspicion(TimePoint now, const ScheduledBatch& batch,
                               SchedulerActions& actions) {
  for (const auto& member : batch.members) ClearSuspicion(now, *member, std::nullopt, actions);
}

// `given_up`: its model, where it was not tried.
void Scheduler::ClearSuspicion(TimePoint now, QueuedRequest& suspect,
                               std::optional<uint32_t> given_up, SchedulerActions& actions) {
  const std::shared_ptr<Crash> crash = std::exchange(suspect.crash, nullptr);
  if (crash == nullptr) return;
  if (given_up.has_value()) {
    crash->is_mixed |= crash->given_up.has_value() && crash->given_up != given_up;
    crash->given_up = given_up;
    crash->handle = models_[*given_up].handle;
  }
  // Where they are of several models none is to suffer for the others.
  if (--crash->open > 0 || !crash->given_up.has_value() || crash->is_mixed) return;
  const Model& blamed = models_[*crash->given_up];
  // It is of before the pause, which it does not lengthen.
  if (blamed.handle != crash->handle || blamed.breaker.is_open()) return;
  NoteProof(now, *crash->given_up, actions);
}

// Those whom nobody waits for any more, and those that no worker will come back for.
void Scheduler::RefuseSuspects(TimePoint now, SchedulerActions& actions) {
  std::vector<Suspect> given_up;
  std::vector<Suspect> unserved;
  for (auto it = suspects_.begin(); it != suspects_.end();) {
    const Model& model = models_[it->model];
    const bool is_dead = IsDead(*it->request, now);
    if (!is_dead && WillRun(now, model, *it->request)) {
      ++it;
      continue;
    }
    ReleaseWorker(*it);
    (is_dead ? given_up : unserved).push_back(std::move(*it));
    it = suspects_.erase(it);
  }
  for (Suspect& suspect : unserved) {
    ClearSuspicion(now, *suspect.request, std::nullopt, actions);
    actions.refusals.push_back(
        {std::move(suspect.request), NotServedError(models_[suspect.model])});
  }
  for (Suspect& suspect : given_up) {
    Requests one;
    one.push_back(std::move(suspect.request));
    RefuseDead(now, suspect.model, std::move(one), actions);
  }
}

bool Scheduler::NoteProof(TimePoint now, uint32_t model, SchedulerActions& actions) {
  Model& wanted = models_[model];
  if (!wanted.breaker.OnOffence(now)) return false;
  actions.pauses.push_back({wanted.name, wanted.version, wanted.breaker.paused_until() - now});
  for (auto& request : TakeIf(model, [](const QueuedRequest&) { return true; })) {
    actions.refusals.push_back({std::move(request), PausedError(now, wanted)});
  }
  return true;
}

absl::Status Scheduler::PausedError(TimePoint now, const Model& model) const {
  const Duration left = std::max(Duration{0}, model.breaker.paused_until() - now);
  return WithRetryAfter(
      absl::UnavailableError(absl::StrCat(
          "model \"", model.name,
          "\": its requests have ended one worker after the other, so it is paused for another ",
          absl::StrFormat("%.1f", ToSeconds(left)), " s to keep the other models served")),
      std::max(left, kSoonestRetry));
}

// The worker that is held for it may take others again.
void Scheduler::ReleaseWorker(Suspect& suspect) {
  if (!suspect.lane.has_value()) return;
  lanes_.Hold(lanes_.lane(*suspect.lane), false);
  suspect.lane.reset();
}

}  // namespace tandem
