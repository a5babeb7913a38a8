#include "router/router.h"

#include <utility>

#include "router/router_state.h"

namespace tandem {
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

void Router::NoteRefused(const absl::Status& status) { state_->NoteRefused(status); }

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

}  // namespace tandem
