// How the router's models change while it serves; the steps are model_table_update.cc's.
#include <utility>

#include "router/router_state.h"

namespace tandem {

void Router::State::UpdateModel(const ModelUpdate& update) {
  SchedulerActions actions;
  ModelChanges changes;
  std::vector<std::shared_ptr<const ModelVersion>> loads;
  {
    const std::unique_lock table_lock(table_mutex_);
    const std::lock_guard lock(mutex_);
    changes = table_.Update(update);
    for (ModelEntry* entry : changes.added) {
      entry->number = scheduler_.AddModel(*entry->given);
      loads.push_back(entry->given);
    }
    NoteLoadingLocked(actions);
  }
  Perform(std::move(actions));
  for (const auto& model : loads) {
    for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
      if (table_.Serves(pool, model->config)) pools_[pool].backend->Load(model);
    }
  }
  Bury(changes.gone);
}

bool Router::State::IsArriving(const std::string& model) const {
  const std::shared_lock table_lock(table_mutex_);
  return table_.IsArriving(model);
}

std::vector<std::string> Router::State::ModelNames() const {
  const std::shared_lock table_lock(table_mutex_);
  return table_.Names();
}

void Router::State::NoteLoadingLocked(SchedulerActions& actions) {
  const TimePoint now = clock_.Now();
  for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
    for (uint32_t lane = 0; lane < pools_[pool].lanes.size(); ++lane) {
      scheduler_.SetLoading(now, {pool, lane}, table_.IsLoading({pool, lane}), actions);
    }
  }
  Arm();
}

void Router::State::Bury(const std::vector<ModelEntry*>& gone) {
  if (gone.empty()) return;
  SchedulerActions actions;
  std::vector<std::shared_ptr<const ModelVersion>> unloads;
  {
    const std::unique_lock table_lock(table_mutex_);
    const std::lock_guard lock(mutex_);
    for (const ModelEntry* entry : gone) {
      if (entry->model != nullptr && entry->unusable.empty()) {
        scheduler_.RemoveModel(entry->number);
        unloads.push_back(entry->given);
      }
      table_.Erase(*entry);
    }
    NoteLoadingLocked(actions);
  }
  Perform(std::move(actions));
  if (ending_.load()) return;
  for (const auto& model : unloads) {
    for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
      if (table_.Serves(pool, model->config)) pools_[pool].backend->Unload(model->handle);
    }
  }
}

}  // namespace tandem
