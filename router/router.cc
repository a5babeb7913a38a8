#include "router/router.h"

#include <algorithm>
#include <utility>

#include "router/router_state.h"

namespace tandem {
namespace {

// Batches that stand for what an earlier run has learnt: as many as taught it that, but no more
// than it takes for one slow first batch not to outweigh them.
constexpr uint64_t kMostSeedRuns = 20;
constexpr int64_t kSeedRows = 8;
// What the way to the worker and back adds to a batch, of which a warm-up run knows nothing.
constexpr Duration kWayToWorker = std::chrono::microseconds(30);

}  // namespace

Router::Router(const Clock& clock, RouterOptions options, RouterObserver& observer)
    : state_(std::make_unique<State>(clock, options, observer)) {}

Router::~Router() = default;

void Router::AddBackend(Backend& backend) { state_->AddBackend(backend); }

absl::Status Router::AddModel(std::shared_ptr<const ModelVersion> model) {
  return state_->AddModel(std::move(model));
}

void Router::AddUnusable(std::string name, int64_t version, std::string reason) {
  state_->AddUnusable(std::move(name), version, std::move(reason));
}

void Router::SeedCost(const std::string& model, int64_t version, const PoolCost& learnt) {
  state_->SeedCost(model, version, learnt);
}

Ended Router::TakeEnded() { return state_->TakeEnded(); }

void Router::StopTaking() { state_->StopTaking(); }

bool Router::HasLongBatch() const { return state_->HasLongBatch(); }

void Router::Submit(std::unique_ptr<InferRequest> request, ResponseCallback done) {
  Submission one{std::move(request), std::move(done)};
  state_->Submit(absl::MakeSpan(&one, 1));
}

void Router::Submit(std::vector<Submission> burst) { state_->Submit(absl::MakeSpan(burst)); }

std::vector<ModelStatus> Router::Models() const { return state_->Models(); }

absl::StatusOr<ModelStatus> Router::FindModel(const std::string& name, int64_t version) const {
  return state_->FindModel(name, version);
}

void Router::UpdateModel(const ModelUpdate& update) { state_->UpdateModel(update); }

bool Router::IsArriving(const std::string& model) const { return state_->IsArriving(model); }

std::vector<std::string> Router::ModelNames() const { return state_->ModelNames(); }

bool Router::AllModelsSettled() const { return state_->AllModelsSettled(); }

bool Router::AllModelsHaveLanes() const { return state_->AllModelsHaveLanes(); }

void Router::SetLimits(RouterOptions limits) { state_->SetLimits(limits); }

RouterGauges Router::Gauges() const { return state_->Gauges(); }

std::vector<QuarantinedRequest> Router::Quarantined() const { return state_->Quarantined(); }

size_t Router::ClearQuarantine() { return state_->ClearQuarantine(); }

bool Router::Drain(Duration timeout) { return state_->Drain(timeout); }

void Router::OnLaneUp(LaneId lane) { state_->LaneUp(lane); }

void Router::OnLaneDown(LaneId lane, absl::Status reason) { state_->LaneDown(lane, reason); }

void Router::OnWarmUp(LaneId lane, uint32_t model_handle, absl::Span<const WarmUpRun> runs) {
  state_->WarmUp(lane, model_handle, runs);
}

void Router::OnLoadPutOff(LaneId lane, uint32_t model_handle) {
  state_->NoteLoad(lane, model_handle, ModelEvent::kLoadPutOff);
}

void Router::OnLoadBegun(LaneId lane, uint32_t model_handle) {
  state_->NoteLoad(lane, model_handle, ModelEvent::kLoadBegun);
}

void Router::OnModelReady(LaneId lane, uint32_t model_handle, std::vector<TensorSpec> inputs,
                          std::vector<TensorSpec> outputs) {
  state_->ModelReady(lane, model_handle, std::move(inputs), std::move(outputs));
}

void Router::OnModelFailed(LaneId lane, uint32_t model_handle, absl::Status reason) {
  state_->ModelFailed(lane, model_handle, reason);
}

void Router::OnBatchDone(LaneId lane, uint64_t batch_id, BatchResult result) {
  state_->BatchDone(lane, batch_id, std::move(result));
}

// What people and pools ask and tell; the way of the requests is in router_state.cc.

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
          quarantine_.size()};
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
  {
    std::unique_lock lock(drain_mutex_);
    const auto idle = [this] { return requests_in_flight_.load() == 0; };
    if (drained_.wait_for(lock, timeout, idle)) return true;
  }
  SchedulerActions actions;
  {
    const std::lock_guard lock(mutex_);
    scheduler_.RefuseWaiting(absl::UnavailableError("the server is shutting down"), actions);
  }
  Perform(std::move(actions));
  return false;
}

void Router::State::LaneUp(LaneId lane) {
  const std::unique_lock table_lock(table_mutex_);
  const std::lock_guard lock(mutex_);
  table_.LaneUp(lane);
  scheduler_.LaneUp(lane);
}

void Router::State::LaneDown(LaneId lane, const absl::Status& reason) {
  SchedulerActions actions;
  {
    const std::unique_lock table_lock(table_mutex_);
    const std::lock_guard lock(mutex_);
    table_.LaneDown(lane, reason);
    scheduler_.SetLoading(clock_.Now(), lane, table_.IsLoading(lane), actions);
    scheduler_.LaneDown(clock_.Now(), lane, actions);
  }
  Perform(std::move(actions));
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
