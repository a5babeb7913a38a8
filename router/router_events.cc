// What pools tell the router of their lanes and of the models there.
#include <string>
#include <utility>
#include <vector>

#include "router/router_state.h"

namespace tandem {
namespace {

// What the way to the worker and back adds to a batch, of which a warm-up run knows nothing.
constexpr Duration kWayToWorker = std::chrono::microseconds(30);

}  // namespace

void Router::State::LaneUp(LaneId lane) {
  const std::unique_lock table_lock(table_mutex_);
  const std::lock_guard lock(mutex_);
  table_.LaneUp(lane);
  scheduler_.LaneUp(lane);
}

void Router::State::LaneDown(LaneId lane, const absl::Status& reason) {
  SchedulerActions actions;
  std::vector<ModelEntry*> gone;
  {
    const std::unique_lock table_lock(table_mutex_);
    const std::lock_guard lock(mutex_);
    table_.LaneDown(lane, reason);
    scheduler_.SetLoading(clock_.Now(), lane, table_.IsLoading(lane), actions);
    scheduler_.LaneDown(clock_.Now(), lane, actions);
    // What it was to load is not waited for where others have it.
    for (const std::string& name : table_.Names()) {
      if (!table_.IsArriving(name)) continue;
      const ModelChanges changes = table_.Settle(name);
      gone.insert(gone.end(), changes.gone.begin(), changes.gone.end());
    }
  }
  Perform(std::move(actions));
  Bury(gone);
}

// What is known already, from requests or an earlier run of the server, weighs more.
void Router::State::WarmUp(LaneId lane, uint32_t handle, absl::Span<const WarmUpRun> runs) {
  const std::unique_lock table_lock(table_mutex_);
  const ModelEntry* entry = table_.FindHandle(handle);
  if (entry == nullptr || !entry->unusable.empty() || lane.pool >= pools_.size()) return;
  const std::lock_guard lock(mutex_);
  if (scheduler_.cost(entry->number, lane.pool).known()) return;
  for (const WarmUpRun& run : runs) {
    scheduler_.Observe(entry->number, lane.pool, run.rows, run.time + kWayToWorker);
  }
}

void Router::State::NoteLoad(LaneId lane, uint32_t handle, ModelEvent event) {
  SchedulerActions actions;
  {
    const std::unique_lock table_lock(table_mutex_);
    ModelEntry* entry = table_.FindHandle(handle);
    if (entry == nullptr || !entry->unusable.empty()) return;
    table_.NoteLoad(lane, *entry, event);
    const std::lock_guard lock(mutex_);
    scheduler_.SetLoading(clock_.Now(), lane, table_.IsLoading(lane), actions);
    Arm();
  }
  Perform(std::move(actions));
}

void Router::State::ModelReady(LaneId lane, uint32_t handle, std::vector<TensorSpec> inputs,
                               std::vector<TensorSpec> outputs) {
  SchedulerActions actions;
  ModelChanges changes;
  {
    const std::unique_lock table_lock(table_mutex_);
    ModelEntry* entry = table_.FindHandle(handle);
    if (entry == nullptr || !entry->unusable.empty()) return;
    table_.Ready(lane, *entry, std::move(inputs), std::move(outputs));
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.Now();
    scheduler_.SetLoading(now, lane, table_.IsLoading(lane), actions);
    scheduler_.SetRunnable(now, entry->number, lane, true, actions);
    Arm();
    changes = table_.Settle(entry->name);
  }
  Perform(std::move(actions));
  Bury(changes.gone);
}

void Router::State::ModelFailed(LaneId lane, uint32_t handle, const absl::Status& reason) {
  SchedulerActions actions;
  ModelChanges changes;
  {
    const std::unique_lock table_lock(table_mutex_);
    ModelEntry* entry = table_.FindHandle(handle);
    if (entry == nullptr || !entry->unusable.empty()) return;
    table_.Failed(lane, *entry, reason);
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.Now();
    scheduler_.SetLoading(now, lane, table_.IsLoading(lane), actions);
    scheduler_.SetRunnable(now, entry->number, lane, false, actions);
    if (table_.IsHopeless(*entry, lane.pool)) {
      scheduler_.GiveUp(now, entry->number, lane.pool, actions);
    }
    changes = table_.Settle(entry->name);
  }
  Perform(std::move(actions));
  Bury(changes.gone);
}

}  // namespace tandem
