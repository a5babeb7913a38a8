#include "router/scheduler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/retry_hint.h"

namespace tandem {
namespace {

// Three digits, or whole milliseconds where there are more.
std::string Milliseconds(Duration time) {
  const double ms = ToSeconds(time) * 1e3;
  if (std::abs(ms) < 999.5) return absl::StrFormat("%.3g ms", ms);
  return absl::StrFormat("%.0f ms", ms);
}

absl::Status WithRetryWithin(absl::Status status, Duration after) {
  return WithRetryAfter(std::move(status), std::clamp<Duration>(after, Scheduler::kSoonestRetry,
                                                                Scheduler::kLatestRetry));
}

// `least`: what it takes by itself. Where that leaves time, those before it make it late, and
// another try may be in time, after `after`.
absl::Status LateError(const std::string& model, const QueuedRequest& request, TimePoint now,
                       TimePoint answer, Duration least, Duration after) {
  absl::Status status = absl::DeadlineExceededError(absl::StrCat(
      "model \"", model, "\": it would be answered in ",
      answer == kNever ? "more than an hour" : absl::StrCat("about ", Milliseconds(answer - now)),
      ", but its deadline is in ", Milliseconds(request.deadline() - now),
      "; allow more time, or try again later"));
  if (request.deadline() - request.arrival() <= least) return status;
  return WithRetryWithin(std::move(status), after);
}

}  // namespace

void Scheduler::LaneUp(LaneId id) {
  if (!lanes_.Has(id)) return;
  Lane& lane = lanes_.lane(id);
  lane.up = true;
  ++lane.generation;
}

void Scheduler::LaneDown(TimePoint now, LaneId id, SchedulerActions& actions) {
  if (!lanes_.Has(id)) return;
  lanes_.lane(id).up = false;
  for (uint32_t model = 0; model < models_.size(); ++model) {
    Seat& seat = models_[model].seats[id.pool];
    if (seat.runnable[id.lane]) {
      seat.hope_until = now + restart_patience_;
      seat.spares_until = now + kLongestSparing;
    }
    SetRunnable(now, model, id, false, actions);
  }
}

void Scheduler::SetLoading(TimePoint now, LaneId id, bool loading, SchedulerActions& actions) {
  if (!lanes_.Has(id)) return;
  const bool was_loading = std::exchange(lanes_.lane(id).loading, loading);
  if (!was_loading || loading) return;
  lanes_.RestAgain(now, lanes_.lane(id));
  ServeSuspects(now, actions);
}

void Scheduler::GiveUp(TimePoint now, uint32_t model, uint32_t pool, SchedulerActions& actions) {
  models_[model].seats[pool].hope_until = TimePoint{};
  RefuseUnservable(now, model, actions);
}

void Scheduler::SetRunnable(TimePoint now, uint32_t model, LaneId id, bool runnable,
                            SchedulerActions& actions) {
  if (!lanes_.Has(id)) return;
  Seat& seat = models_[model].seats[id.pool];
  if (seat.runnable[id.lane] == runnable) return;
  seat.runnable[id.lane] = runnable;
  if (runnable) {
    ++seat.runnable_lanes;
    ServeSuspects(now, actions);
    ServeModel(now, model, actions);
  } else {
    --seat.runnable_lanes;
    RefuseUnservable(now, model, actions);
  }
}

bool Scheduler::IsServed(TimePoint now, const Seat& seat) const {
  return seat.runnable_lanes > 0 || (now < seat.hope_until && restart_patience_.count() > 0);
}

bool Scheduler::WillRun(TimePoint now, const Model& model, const QueuedRequest& request) const {
  for (uint32_t pool = 0; pool < model.seats.size(); ++pool) {
    if (IsServed(now, model.seats[pool]) && MayRunOn(request, lanes_.kind(pool))) return true;
  }
  return false;
}

void Scheduler::Submit(TimePoint now, uint32_t model, std::unique_ptr<QueuedRequest> request,
                       SchedulerActions& actions) {
  Accept(now, model, std::move(request), actions);
  Serve(now, model, actions);
}

void Scheduler::Accept(TimePoint now, uint32_t model, std::unique_ptr<QueuedRequest> request,
                       SchedulerActions& actions) {
  Model& wanted = models_[model];
  if (IsDead(*request, now)) {
    Requests dead;
    dead.push_back(std::move(request));
    RefuseDead(now, model, std::move(dead), actions);
    return;
  }
  if (!WillRun(now, wanted, *request)) {
    actions.refusals.push_back({std::move(request), NotServedError(wanted)});
    return;
  }
  const CircuitBreaker::Verdict verdict = wanted.breaker.Judge(now);
  if (verdict == CircuitBreaker::Verdict::kRefuse) {
    actions.refusals.push_back({std::move(request), PausedError(now, wanted)});
    return;
  }
  request->is_probe = verdict == CircuitBreaker::Verdict::kTrial;
  wanted.queue.Classify(*request, TimeOf(wanted, *request));
  if (!CheckRoom(wanted, *request).ok()) {
    // Perhaps some of them wait for nobody.
    Requests dead;
    wanted.queue.TakeDead(now, dead);
    RefuseDead(now, model, std::move(dead), actions);
    UpdateActive(model);
  }
  // They may have been what hung, which may have paused the model.
  if (wanted.breaker.is_open() && !request->is_probe) {
    actions.refusals.push_back({std::move(request), PausedError(now, wanted)});
    return;
  }
  if (absl::Status full = CheckRoom(wanted, *request); !full.ok()) {
    // How long the oldest has waited is how long the whole queue takes.
    const Duration half = (now - wanted.queue.front().request->arrival) / 2;
    actions.refusals.push_back({std::move(request), WithRetryWithin(std::move(full), half)});
    return;
  }
  request->sequence = next_sequence_++;
  if (absl::Status late = CheckTime(now, model, *request); !late.ok()) {
    actions.refusals.push_back({std::move(request), std::move(late)});
    return;
  }
  const bool is_probe = request->is_probe;
  Enqueue(model, std::move(request));
  if (is_probe) ServeSuspects(now, actions);
}

void Scheduler::Serve(TimePoint now, uint32_t model, SchedulerActions& actions) {
  ServeModel(now, model, actions);
  ServeExpress(now, actions);
  NoteWaiting(now);
}

// Whether it would be answered inside its deadline. The last quarter of its time is for clients
// that have less than an equal share of what waits, as the last quarter of a queue is.
absl::Status Scheduler::CheckTime(TimePoint now, uint32_t model,
                                  const QueuedRequest& request) const {
  const Model& wanted = models_[model];
  const TimePoint deadline = request.deadline();
  if (deadline == kNever) return absl::OkStatus();
  const bool has_its_share = wanted.queue.shares().HasItsShare(request.request->client);
  const TimePoint allowed = has_its_share ? deadline - (deadline - now) / 4 : deadline;
  if (!WouldBeLate(now, model, request, allowed)) return absl::OkStatus();
  const TimePoint answer = PredictAnswer(now, model, request);
  if (has_its_share && !WouldBeLate(now, model, request, deadline)) {
    return WithRetryWithin(
        absl::ResourceExhaustedError(absl::StrCat(
            "model \"", wanted.name, "\": ", wanted.queue.size(),
            " requests wait for it already, and the time that is left up to the deadline is for "
            "clients that have fewer there; try again later")),
        answer - allowed);
  }
  return LateError(wanted.name, request, now, answer, wanted.queue.least_time(), answer - deadline);
}

void Scheduler::Enqueue(uint32_t model, std::unique_ptr<QueuedRequest> request) {
  if (request->is_probe || request->deaths.is_suspect()) {
    const auto place = std::find_if(suspects_.begin(), suspects_.end(), [&](const Suspect& other) {
      return other.request->sequence > request->sequence;
    });
    suspects_.insert(place, {model, std::move(request), std::nullopt});
    return;
  }
  models_[model].queue.Push(std::move(request));
  UpdateActive(model);
}

void Scheduler::Tick(TimePoint now, SchedulerActions& actions) {
  if (now < next_wakeup_) return;
  if (now >= next_watch_) WatchLanes(now, actions);
  next_wakeup_ = next_watch_;
  RefuseSuspects(now, actions);
  ServeSuspects(now, actions);
  const bool sweeps = now >= next_sweep_;
  if (sweeps) next_sweep_ = kNever;
  std::vector<uint32_t> waiting = active_;
  for (const uint32_t model : waiting) {
    // All that wait are looked at for it, which may be very many.
    if (!sweeps && now < models_[model].queue.earliest_expiry()) continue;
    Requests dead;
    models_[model].queue.TakeDead(now, dead);
    RefuseDead(now, model, std::move(dead), actions);
    RefuseUnservable(now, model, actions);
  }
  waiting = active_;
  std::sort(waiting.begin(), waiting.end(), [&](uint32_t a, uint32_t b) {
    return IsMoreUrgent(models_[a].queue.front(), models_[b].queue.front());
  });
  for (const uint32_t model : waiting) ServeModel(now, model, actions);
  NoteWaiting(now);
}

void Scheduler::WatchLanes(TimePoint now, SchedulerActions& actions) {
  // Where this comes so late the server stood still, and perhaps its workers with it.
  const Duration late = now - std::exchange(next_watch_, kNever);
  const Duration stood_still = late < kWatchInterval ? Duration{0} : late;
  for (uint32_t pool = 0; pool < lanes_.pool_count(); ++pool) {
    for (const Lane& lane : lanes_.lanes(pool)) {
      ScheduledBatch* const batch = LaneTable::Running(lane);
      if (batch == nullptr) continue;
      next_watch_ = now + kWatchInterval;
      batch->budget += stood_still;
      const Duration ran = now - LaneTable::RunsSince(lane);
      if (ran >= kWatchInterval && !std::exchange(batch->is_watched, true)) {
        actions.watches.push_back({lane.id, batch->batch.id});
      }
      if (ran < batch->budget) continue;
      const auto budget = std::chrono::duration_cast<std::chrono::milliseconds>(batch->budget);
      actions.overdue.push_back(
          {lane.id,
           batch->batch.id,
           {ran, batch->budget},
           absl::StrCat("a batch of model \"", models_[batch->model].name,
                        "\" did not come to an end within ", budget.count(), " ms")});
    }
  }
}

// Makes sure of a wake-up for what waits now.
void Scheduler::NoteWaiting(TimePoint now) {
  if (active_.empty() && suspects_.empty()) {
    next_sweep_ = kNever;
    return;
  }
  if (next_sweep_ == kNever) next_sweep_ = now + kSweepInterval;
  next_wakeup_ = std::min(next_wakeup_, next_sweep_);
  NoteLanes(now);
  for (const uint32_t model : active_) {
    const BatchQueue& queue = models_[model].queue;
    next_wakeup_ = std::min(next_wakeup_, queue.earliest_expiry());
    if (!queue.holds_back()) continue;
    for (uint32_t pool = 0; pool < lanes_.pool_count(); ++pool) {
      const Seat& seat = models_[model].seats[pool];
      if (seat.runnable_lanes == 0) continue;
      BatchQueue::Limits limits;
      limits.kind = lanes_.kind(pool);
      if (seat.cost.known()) limits.cost = &seat.cost;
      const BatchQueue::Prospect prospect = queue.Peek(now, limits);
      if (!prospect.due) next_wakeup_ = std::min(next_wakeup_, prospect.due_at);
    }
  }
}

// Makes sure of a wake-up for when a lane may take the next batch of what it runs, and for when a
// lane becomes so late that what waits is better off with another pool: the later it is, the less
// often that is looked at.
void Scheduler::NoteLanes(TimePoint now) {
  const bool may_go_elsewhere = std::any_of(active_.begin(), active_.end(), [&](uint32_t model) {
    const std::vector<Seat>& seats = models_[model].seats;
    return std::count_if(seats.begin(), seats.end(),
                         [](const Seat& seat) { return seat.runnable_lanes > 0; }) > 1;
  });
  for (uint32_t pool = 0; pool < lanes_.pool_count(); ++pool) {
    for (const Lane& lane : lanes_.lanes(pool)) {
      if (lane.batches.empty()) continue;
      if (may_go_elsewhere) {
        const ScheduledBatch& last = *lane.batches.back();
        const TimePoint late_at = lane.busy_until + std::max(last.may_be_late, last.predicted);
        const Duration late = std::max(now - lane.busy_until, kLate);
        next_wakeup_ = std::min(next_wakeup_, std::max(late_at + kLate, now + late / 2));
      }
      if (!models_[lane.batches.front()->model].active) continue;
      const TimePoint next = NextMayFollowAt(lane.batches.front()->model, lane);
      if (next > now) next_wakeup_ = std::min(next_wakeup_, next);
    }
  }
}

void Scheduler::StopHoldingBack(TimePoint now, SchedulerActions& actions) {
  for (Model& model : models_) model.queue.StopHoldingBack();
  next_wakeup_ = now;
  Tick(now, actions);
}

void Scheduler::RefuseWaiting(const absl::Status& status, SchedulerActions& actions) {
  restart_patience_ = Duration{0};
  for (const uint32_t model : active_) {
    Requests taken;
    models_[model].queue.TakeUnservable(false, false, taken);
    models_[model].active = false;
    for (auto& request : taken) actions.refusals.push_back({std::move(request), status});
  }
  active_.clear();
  for (Suspect& suspect : suspects_) {
    ReleaseWorker(suspect);
    actions.refusals.push_back({std::move(suspect.request), status});
  }
  suspects_.clear();
}

size_t Scheduler::queued(uint32_t model) const {
  const auto suspects = std::count_if(suspects_.begin(), suspects_.end(),
                                      [&](const Suspect& each) { return each.model == model; });
  return models_[model].queue.size() + static_cast<size_t>(suspects);
}

Requests Scheduler::TakeIf(uint32_t model, absl::FunctionRef<bool(const QueuedRequest&)> test) {
  Requests taken;
  models_[model].queue.TakeIf(test, taken);
  UpdateActive(model);
  for (auto it = suspects_.begin(); it != suspects_.end();) {
    if (it->model != model || !test(*it->request)) {
      ++it;
      continue;
    }
    ReleaseWorker(*it);
    taken.push_back(std::move(it->request));
    it = suspects_.erase(it);
  }
  return taken;
}

void Scheduler::RefuseUnservable(TimePoint now, uint32_t model, SchedulerActions& actions) {
  Model& wanted = models_[model];
  bool cpu = false;
  bool gpu = false;
  for (uint32_t pool = 0; pool < wanted.seats.size(); ++pool) {
    if (!IsServed(now, wanted.seats[pool])) continue;
    (lanes_.kind(pool) == PoolKind::kCpu ? cpu : gpu) = true;
  }
  Requests taken;
  wanted.queue.TakeUnservable(cpu, gpu, taken);
  UpdateActive(model);
  for (auto& request : taken)
    actions.refusals.push_back({std::move(request), NotServedError(wanted)});
}

absl::Status Scheduler::NotServedError(const Model& model) const {
  return absl::UnavailableError(absl::StrCat(
      "model \"", model.name, "\": its worker has ended and is not back yet; try again later"));
}

void Scheduler::RefuseDead(TimePoint now, uint32_t number, Requests dead,
                           SchedulerActions& actions) {
  const Model& model = models_[number];
  for (auto& request : dead) {
    ClearSuspicion(now, *request, number, actions);
    absl::Status status =
        request->request->is_cancelled()
            ? absl::CancelledError(
                  absl::StrCat("model \"", model.name, "\": the client cancelled the request"))
        : request->wait_until <= now
            ? absl::DeadlineExceededError(absl::StrCat(
                  "model \"", model.name, "\": it has waited for ",
                  Milliseconds(now - request->arrival()), ", the longest that its queue allows"))
        : request->deadline() <= now
            ? absl::DeadlineExceededError(
                  absl::StrCat("model \"", model.name, "\": the deadline passed before it ran"))
            : LateError(model.name, *request, now, now + model.queue.least_time(),
                        model.queue.least_time(), (now - request->arrival()) / 2);
    actions.refusals.push_back({std::move(request), std::move(status)});
  }
}

void Scheduler::UpdateActive(uint32_t model) {
  Model& wanted = models_[model];
  if (wanted.active == !wanted.queue.empty()) return;
  wanted.active = !wanted.active;
  if (wanted.active) {
    active_.push_back(model);
  } else {
    active_.erase(std::find(active_.begin(), active_.end(), model));
  }
}

}  // namespace tandem
