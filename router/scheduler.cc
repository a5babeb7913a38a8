#include "router/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/retry_hint.h"

namespace tandem {
namespace {

std::string Milliseconds(Duration time) {
  return absl::StrFormat("%.3g ms", ToSeconds(time) * 1e3);
}

absl::Status LateError(const std::string& model, const QueuedRequest& request, TimePoint now,
                       TimePoint answer) {
  return absl::DeadlineExceededError(absl::StrCat(
      "model \"", model, "\": it would be answered in about ", Milliseconds(answer - now),
      ", but its deadline is in ", Milliseconds(request.deadline() - now),
      "; allow more time, or try again later"));
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
  if (was_loading && !loading) ServeSuspects(now, actions);
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
  Model& wanted = models_[model];
  if (IsDead(*request, now)) {
    Requests dead;
    dead.push_back(std::move(request));
    RefuseDead(now, wanted, std::move(dead), actions);
    return;
  }
  if (!WillRun(now, wanted, *request)) {
    actions.refusals.push_back({std::move(request), NotServed(wanted)});
    return;
  }
  const CircuitBreaker::Verdict verdict = wanted.breaker.Judge(now);
  if (verdict == CircuitBreaker::Verdict::kRefuse) {
    actions.refusals.push_back({std::move(request), Paused(now, wanted)});
    return;
  }
  request->is_probe = verdict == CircuitBreaker::Verdict::kTrial;
  wanted.queue.Classify(*request);
  if (!CheckRoom(wanted, *request).ok()) {
    // Perhaps some of them wait for nobody.
    Requests dead;
    wanted.queue.TakeDead(now, dead);
    RefuseDead(now, wanted, std::move(dead), actions);
    UpdateActive(model);
  }
  if (absl::Status full = CheckRoom(wanted, *request); !full.ok()) {
    // How long the oldest has waited is how long the whole queue takes.
    const Duration half = (now - wanted.queue.front().request->arrival) / 2;
    actions.refusals.push_back(
        {std::move(request),
         WithRetryAfter(std::move(full), std::clamp<Duration>(half, kSoonestRetry, kLatestRetry))});
    return;
  }
  request->sequence = next_sequence_++;
  if (WouldBeLate(now, model, *request)) {
    const TimePoint answer = PredictAnswer(now, model, *request);
    absl::Status status = LateError(wanted.name, *request, now, answer);
    actions.refusals.push_back({std::move(request), std::move(status)});
    return;
  }
  const bool is_probe = request->is_probe;
  Enqueue(model, std::move(request));
  if (is_probe) ServeSuspects(now, actions);
  ServeModel(now, model, actions);
  ServeExpress(now, actions);
  NoteWaiting(now);
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

ScheduledBatch* Scheduler::Find(LaneId lane, uint64_t batch) {
  return lanes_.Has(lane) ? lanes_.Find(lane, batch) : nullptr;
}

std::unique_ptr<ScheduledBatch> Scheduler::Ended(TimePoint now, LaneId id, uint64_t batch_id,
                                                 bool well, SchedulerActions& actions) {
  if (!lanes_.Has(id)) return nullptr;
  Lane& lane = lanes_.lane(id);
  const bool was_full = lanes_.IsFull(lane);
  const bool was_alone = lanes_.HoldsOneBatch(lane);
  Duration ran{0};
  std::unique_ptr<ScheduledBatch> batch = lanes_.End(now, id, batch_id, &ran);
  if (batch == nullptr) return nullptr;
  batch->was_alone = was_alone;
  Released(*batch);
  const Seat& seat = models_[batch->model].seats[id.pool];
  if (well) {
    Observe(batch->model, id.pool, batch->batch.rows, ran);
    models_[batch->model].breaker.OnAnswers(now, std::ssize(batch->members), batch->is_trial);
  }
  ServeSuspects(now, actions);
  if (active_.empty()) return batch;
  ServeLane(now, lane, actions);
  // Another lane may now run the model that is limited to some.
  if (seat.limit < lanes_.lanes(id.pool).size() || models_[batch->model].in_order)
    ServeModel(now, batch->model, actions);
  if (was_full || batch->is_trial) ServeWorker(now, lane, actions);
  ServeExpress(now, actions);
  NoteWaiting(now);
  return batch;
}

void Scheduler::Observe(uint32_t model, uint32_t pool, int64_t rows, Duration time) {
  models_[model].seats[pool].cost.Learn(rows, time);
}

// While nothing of the model runs, requests are not given up for what is predicted: only they can
// tell that it is wrong.
void Scheduler::UpdateLeastTime(Model& model) {
  Duration least = Duration::max();
  for (const Seat& seat : model.seats) {
    if (seat.runnable_lanes > 0) least = std::min(least, seat.cost.Predict(1));
  }
  model.queue.set_least_time(IsRunning(model) && least != Duration::max() ? least : Duration{0});
}

void Scheduler::WorkerDied(const ScheduledBatch& batch) {
  const uint32_t worker = lanes_.lane(batch.lane).worker;
  for (Lane& lane : lanes_.lanes(batch.lane.pool)) {
    if (lane.worker == worker && lane.generation == batch.lane_generation) lane.up = false;
  }
}

void Scheduler::NotStarted(TimePoint now, LaneId id, uint64_t batch_id, const absl::Status& why,
                           SchedulerActions& actions) {
  Lane& lane = lanes_.lane(id);
  std::unique_ptr<ScheduledBatch> batch;
  bool again = lanes_.Refused(now, id, batch_id, &batch);
  if (batch == nullptr) return;
  Released(*batch);
  if (why.code() == absl::StatusCode::kUnavailable) {
    again = true;
    // Its pool will tell that the lane is down; until then it would refuse all that waits.
    if (lane.generation == batch->lane_generation) lane.up = false;
  } else if (why.code() != absl::StatusCode::kResourceExhausted) {
    again = false;
  } else if (!again) {
    again = MakeAlone(*batch);
  }
  for (std::unique_ptr<QueuedRequest>& member : batch->members) {
    if (again && WillRun(now, models_[batch->model], *member)) {
      Enqueue(batch->model, std::move(member));
    } else {
      actions.refusals.push_back({std::move(member), why});
    }
  }
  ServeSuspects(now, actions);
  ServeWorker(now, lane, actions);
  ServeModel(now, batch->model, actions);
  NoteWaiting(now);
}

bool Scheduler::RunAlone(TimePoint now, ScheduledBatch& batch, SchedulerActions& actions) {
  if (!MakeAlone(batch)) return false;
  for (const auto& member : batch.members) {
    if (!WillRun(now, models_[batch.model], *member)) return false;
  }
  for (auto& member : batch.members) Enqueue(batch.model, std::move(member));
  ServeModel(now, batch.model, actions);
  NoteWaiting(now);
  return true;
}

// False where the batch has but one member.
bool Scheduler::MakeAlone(ScheduledBatch& batch) {
  if (batch.members.size() == 1) return false;
  for (auto& member : batch.members) member->alone = true;
  return true;
}

void Scheduler::Released(const ScheduledBatch& batch) {
  if (batch.is_trial) lanes_.Hold(lanes_.lane(batch.lane), false);
  if (Runs(lanes_.lane(batch.lane), batch.model)) return;
  --models_[batch.model].seats[batch.lane.pool].running_lanes;
  UpdateLeastTime(models_[batch.model]);
}

void Scheduler::Tick(TimePoint now, SchedulerActions& actions) {
  if (now < next_wakeup_) return;
  if (now >= next_watch_) WatchLanes(now, actions);
  next_wakeup_ = next_watch_;
  RefuseSuspects(now, actions);
  ServeSuspects(now, actions);
  std::vector<uint32_t> waiting = active_;
  for (const uint32_t model : waiting) {
    Requests dead;
    models_[model].queue.TakeDead(now, dead);
    RefuseDead(now, models_[model], std::move(dead), actions);
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
  next_watch_ = kNever;
  for (uint32_t pool = 0; pool < lanes_.pool_count(); ++pool) {
    for (const Lane& lane : lanes_.lanes(pool)) {
      ScheduledBatch* const batch = LaneTable::Running(lane);
      if (batch == nullptr) continue;
      next_watch_ = now + kWatchInterval;
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
  if (active_.empty() && suspects_.empty()) return;
  next_wakeup_ = std::min(next_wakeup_, now + kSweepInterval);
  for (const uint32_t model : active_) {
    const BatchQueue& queue = models_[model].queue;
    next_wakeup_ = std::min(next_wakeup_, queue.earliest_expiry());
    if (!queue.holds_back()) continue;
    for (const PoolKind kind : {PoolKind::kCpu, PoolKind::kGpu}) {
      BatchQueue::Limits limits;
      limits.kind = kind;
      const BatchQueue::Prospect prospect = queue.Peek(now, limits);
      if (!prospect.due) next_wakeup_ = std::min(next_wakeup_, prospect.due_at);
    }
  }
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
    Release(suspect);
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
    Release(*it);
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
  for (auto& request : taken) actions.refusals.push_back({std::move(request), NotServed(wanted)});
}

absl::Status Scheduler::NotServed(const Model& model) const {
  return absl::UnavailableError(absl::StrCat(
      "model \"", model.name, "\": its worker has ended and is not back yet; try again later"));
}

void Scheduler::RefuseDead(TimePoint now, const Model& model, Requests dead,
                           SchedulerActions& actions) {
  for (auto& request : dead) {
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
            : LateError(model.name, *request, now, now + model.queue.least_time());
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
