// What people ask the router, and tell it; the way of the requests is router_state.cc's.
#include <algorithm>
#include <utility>

#include "router/router_state.h"

namespace tandem {
namespace {

// Batches that stand for what an earlier run has learnt: as many as taught it that, but no more
// than it takes for one slow first batch not to outweigh them.
constexpr uint64_t kMostSeedRuns = 20;
constexpr int64_t kSeedRows = 8;

}  // namespace

void Router::State::SeedCost(const std::string& model, int64_t version, const PoolCost& learnt) {
  const std::shared_lock table_lock(table_mutex_);
  const absl::StatusOr<const ModelEntry*> entry = std::as_const(table_).Find(model, version);
  if (!entry.ok() || (*entry)->model == nullptr || !(*entry)->unusable.empty()) return;
  const std::lock_guard lock(mutex_);
  for (uint32_t i = 0; i < pools_.size(); ++i) {
    const bool is_known = scheduler_.cost((*entry)->number, i).known();
    if (pools_[i].backend->name() != learnt.pool || is_known) continue;
    for (uint64_t run = 0; run < std::min(learnt.batches, kMostSeedRuns); ++run) {
      const int64_t rows = learnt.is_of_one_size || run % 2 == 0 ? 1 : kSeedRows;
      scheduler_.Observe((*entry)->number, i, rows, learnt.alpha + learnt.beta * rows);
    }
  }
}

std::vector<ModelStatus> Router::State::Models() const {
  const std::shared_lock table_lock(table_mutex_);
  std::vector<ModelStatus> models;
  for (const ModelEntry* entry : table_.All()) {
    models.push_back(StatusLocked(*entry));
    models.back().costs = CostsLocked(*entry);
  }
  return models;
}

std::vector<PoolCost> Router::State::CostsLocked(const ModelEntry& entry) const {
  std::vector<PoolCost> costs;
  if (entry.model == nullptr || !entry.unusable.empty()) return costs;
  const std::lock_guard lock(mutex_);
  for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
    const CostModel& cost = scheduler_.cost(entry.number, pool);
    if (cost.samples() == 0) continue;
    costs.push_back({std::string(pools_[pool].backend->name()), cost.alpha(), cost.beta(),
                     cost.is_of_one_size(), cost.ErrorQuantile(0.5), cost.ErrorQuantile(0.9),
                     cost.ErrorQuantile(0.99), cost.samples()});
  }
  return costs;
}

absl::StatusOr<ModelStatus> Router::State::FindModel(const std::string& name,
                                                     int64_t version) const {
  const std::shared_lock table_lock(table_mutex_);
  const absl::StatusOr<const ModelEntry*> entry = table_.Find(name, version);
  if (!entry.ok()) return entry.status();
  return StatusLocked(**entry);
}

ModelStatus Router::State::StatusLocked(const ModelEntry& entry) const {
  ModelStatus status = table_.StatusOf(entry);
  if (entry.model == nullptr || !entry.unusable.empty()) return status;
  const std::lock_guard lock(mutex_);
  status.queued = scheduler_.queued(entry.number);
  for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
    const CostModel& cost = scheduler_.cost(entry.number, pool);
    if (!cost.known()) continue;
    const Duration one = cost.Predict(1);
    if (status.expected_time.count() > 0 && status.expected_time <= one) continue;
    status.expected_time = one;
    status.expected_row_time = cost.beta();
  }
  return status;
}

bool Router::State::AllModelsSettled() const {
  const std::shared_lock table_lock(table_mutex_);
  for (const ModelEntry* entry : table_.All()) {
    // What joins a running server does not make it less ready.
    if (!entry->is_late && !table_.IsSettled(*entry)) return false;
  }
  return true;
}

bool Router::State::AllModelsHaveLanes() const {
  const std::shared_lock table_lock(table_mutex_);
  const std::vector<const ModelEntry*> all = table_.All();
  return std::all_of(all.begin(), all.end(), [this](const ModelEntry* entry) {
    const bool loads = table_.StateOf(*entry) == ModelState::kLoading;
    return table_.HasLaneUp(*entry) && (entry->is_late || !loads);
  });
}

RouterGauges Router::State::Gauges() const {
  return {bytes_in_flight_.load(std::memory_order_relaxed), requests_in_flight_.load(),
          quarantine_.List(clock_.Now()).size()};
}

void Router::State::SetLimits(RouterOptions limits) {
  max_bytes_in_flight_.store(limits.max_bytes_in_flight, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  scheduler_.SetMaxQueue(limits.max_queue_length, limits.max_queue_bytes);
}

std::vector<QuarantinedRequest> Router::State::Quarantined() const {
  return quarantine_.List(clock_.Now());
}

size_t Router::State::ClearQuarantine() { return quarantine_.Clear(); }

bool Router::State::Drain(Duration timeout) {
  draining_.store(true);
  SchedulerActions actions;
  {
    const std::lock_guard lock(mutex_);
    scheduler_.StopHoldingBack(clock_.Now(), actions);
    Arm();
  }
  Perform(std::exchange(actions, {}));
  {
    std::unique_lock lock(drain_mutex_);
    const auto idle = [this] { return requests_in_flight_.load() == 0; };
    if (drained_.wait_for(lock, timeout, idle)) return true;
  }
  {
    const std::lock_guard lock(mutex_);
    scheduler_.RefuseWaiting(absl::UnavailableError("the server is shutting down"), actions);
  }
  Perform(std::move(actions));
  return false;
}

}  // namespace tandem
