// What becomes of the scheduler's batches once a lane has them: they end, well or not, are not
// started after all, or run again request by request.
#include <algorithm>
#include <memory>
#include <utility>

#include "router/scheduler.h"

namespace tandem {
namespace {

// Whether what went wrong may be one request's doing, or their number's, so that each by itself
// shows it: it was too much for the memory, or the model raised something.
bool IsOfOne(const BatchResult& result) {
  return result.death == WorkerDeath::kNone &&
         (absl::IsResourceExhausted(result.status) || absl::IsInternal(result.status) ||
          absl::IsInvalidArgument(result.status));
}

}  // namespace

ScheduledBatch* Scheduler::Find(LaneId lane, uint64_t batch) {
  return lanes_.Has(lane) ? lanes_.Find(lane, batch) : nullptr;
}

std::unique_ptr<ScheduledBatch> Scheduler::BatchEnded(TimePoint now, LaneId id, uint64_t batch_id,
                                                      bool well, SchedulerActions& actions) {
  if (!lanes_.Has(id)) return nullptr;
  Lane& lane = lanes_.lane(id);
  const bool was_full = lanes_.IsFull(lane);
  Duration ran{0};
  std::unique_ptr<ScheduledBatch> batch = lanes_.End(now, id, batch_id, &ran);
  if (batch == nullptr) return nullptr;
  ForgetBatch(now, *batch);
  Seat& seat = models_[batch->model].seats[id.pool];
  if (well) {
    const Duration before = seat.cost.Predict(1);
    Observe(batch->model, id.pool, batch->batch.rows, ran);
    seat.reappraisal.OnBatch(now, before, seat.cost.Predict(1));
    const Duration computed = batch->result.compute_time;
    if (computed > Duration{0}) seat.compute.Learn(batch->batch.rows, computed);
    models_[batch->model].breaker.OnAnswers(now, std::ssize(batch->members), batch->is_trial);
  }
  if (batch->result.death == WorkerDeath::kNone) {
    ClearSuspicion(now, *batch, actions);
  } else {
    models_[batch->model].runs_again = true;
  }
  const bool runs_alone = IsOfOne(batch->result) && RunAlone(now, *batch, actions);
  ServeSuspects(now, actions);
  if (!active_.empty()) {
    ServeLane(now, lane, actions);
    // Another lane may now run the model, which was limited to this one, or waited for it.
    if (seat.limit < lanes_.lanes(id.pool).size() || models_[batch->model].in_order ||
        seat.running_lanes == 0 || runs_alone) {
      ServeModel(now, batch->model, actions);
    }
    if (was_full || batch->is_trial) ServeWorker(now, lane, actions);
    ServeExpress(now, actions);
    NoteWaiting(now);
  }
  return runs_alone ? nullptr : std::move(batch);
}

void Scheduler::Observe(uint32_t model, uint32_t pool, int64_t rows, Duration time) {
  Seat& seat = models_[model].seats[pool];
  seat.cost.Learn(rows, time);
  if (seat.cost.known()) seat.reappraisal.OnLearnt(seat.cost.Predict(1));
}

// While nothing of the model runs, requests are not given up for what is predicted: only they can
// tell that it is wrong.
void Scheduler::UpdateLeastTime(Model& model) {
  Duration least = Duration::max();
  for (const Seat& seat : model.seats) {
    if (seat.runnable_lanes == 0) continue;
    least = std::min(least, seat.cost.known() ? seat.cost.Predict(1) : Duration{0});
  }
  model.queue.set_least_time(IsRunning(model) && least != Duration::max() ? least : Duration{0});
}

void Scheduler::WorkerDied(TimePoint now, ScheduledBatch& batch, SchedulerActions& actions) {
  NoteDeath(now, batch, actions);
  const uint32_t worker = lanes_.lane(batch.lane).worker;
  for (Lane& lane : lanes_.lanes(batch.lane.pool)) {
    if (lane.worker == worker && lane.generation == batch.lane_generation) lane.up = false;
  }
}

void Scheduler::BatchNotStarted(TimePoint now, LaneId id, uint64_t batch_id,
                                const absl::Status& why, SchedulerActions& actions) {
  Lane& lane = lanes_.lane(id);
  std::unique_ptr<ScheduledBatch> batch;
  bool again = lanes_.Refused(now, id, batch_id, &batch);
  if (batch == nullptr) return;
  ForgetBatch(now, *batch);
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

// Puts the members of a batch that went wrong back into the queue, each to run by itself. False,
// and nothing done, where there is but one, or no lane for it.
bool Scheduler::RunAlone(TimePoint now, ScheduledBatch& batch, SchedulerActions& actions) {
  const Model& model = models_[batch.model];
  if (batch.members.size() == 1) return false;
  for (const auto& member : batch.members) {
    if (!WillRun(now, model, *member)) return false;
  }
  MakeAlone(batch);
  for (auto& member : batch.members) {
    // It has waited in the queue as long as its model allows, or less.
    member->wait_until = kNever;
    member->delay_at = kNever;
    Enqueue(batch.model, std::move(member));
  }
  actions.splits.push_back({model.name, model.version, batch.lane.pool});
  return true;
}

// False where the batch has but one member.
bool Scheduler::MakeAlone(ScheduledBatch& batch) {
  if (batch.members.size() == 1) return false;
  for (auto& member : batch.members) member->alone = true;
  return true;
}

void Scheduler::ForgetBatch(TimePoint now, const ScheduledBatch& batch) {
  if (batch.is_trial) {
    lanes_.Hold(lanes_.lane(batch.lane), false);
    lanes_.BeginRest(now, lanes_.lane(batch.lane), now - batch.started);
  }
  Seat& seat = models_[batch.model].seats[batch.lane.pool];
  seat.running_rows -= batch.batch.rows;
  if (Runs(lanes_.lane(batch.lane), batch.model)) return;
  --seat.running_lanes;
  UpdateLeastTime(models_[batch.model]);
}

}  // namespace tandem
