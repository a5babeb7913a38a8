#include "server/prediction_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/version.h"
#include "server/predict_call.h"
#include "server/process_usage.h"
#include "server/unary_responder.h"

namespace tandem::server {
namespace {

void FillPool(const PoolReport& pool, v1::PoolStatus* message) {
  message->set_name(pool.name);
  message->set_kind(PoolKindName(pool.kind));
  message->set_device(pool.device);
  for (const WorkerReport& worker : pool.workers) {
    v1::WorkerStatus* status = message->add_workers();
    status->set_name(worker.name);
    status->set_state(worker.state);
    status->set_pid(worker.pid);
    status->set_lanes(worker.lanes);
    status->set_restarts(worker.restarts);
    status->set_last_exit(worker.last_exit);
    const std::optional<ProcessUsage> usage =
        worker.pid > 0 ? ReadProcessUsage(worker.pid) : std::nullopt;
    if (usage.has_value()) status->set_resident_bytes(usage->resident_bytes);
  }
}

void FillModel(const ModelStatus& model, v1::ModelStatus* message) {
  message->set_name(model.name);
  message->set_version(VersionText(model.version));
  message->set_state(ModelStateName(model.state));
  message->set_reason(model.reason);
  for (const std::string& pool : model.pools) message->add_pools(pool);
  message->set_requests(model.totals.requests);
  message->set_failures(model.totals.failures);
  message->set_queued(model.queued);
  for (const PoolCost& cost : model.costs) {
    v1::PoolCost* told = message->add_costs();
    told->set_pool(cost.pool);
    told->set_alpha_us(ToMicroseconds(cost.alpha));
    told->set_beta_us(ToMicroseconds(cost.beta));
    told->set_error_p50(cost.error_p50);
    told->set_error_p90(cost.error_p90);
    told->set_error_p99(cost.error_p99);
    told->set_batches(cost.batches);
  }
}

void FillQuarantined(const QuarantinedRequest& request, v1::QuarantinedRequest* message) {
  message->set_model_name(request.model);
  message->set_model_version(absl::StrCat(request.version));
  message->set_fingerprint(absl::StrCat(absl::Hex(request.fingerprint, absl::kZeroPad16)));
  message->set_seconds_left(ToSeconds(request.left));
  message->set_refused(request.refused);
}

}  // namespace

void PredictionService::AddTo(Call::Methods& methods) {
  methods["/tandem.v1.PredictionService/Predict"] = [this](Call& call) {
    return std::make_unique<PredictCall>(call, clock_, router_, state_, unsent_, combiner_);
  };
  methods["/tandem.v1.PredictionService/PredictStream"] = [this](Call& call) {
    return std::make_unique<PredictStreamCall>(call, clock_, router_, state_, unsent_, combiner_);
  };
  methods["/tandem.v1.PredictionService/ServerStatus"] =
      AnswerMessage<v1::ServerStatusRequest>([this](const v1::ServerStatusRequest&) {
        return absl::StatusOr<v1::ServerStatusResponse>(Status());
      });
  methods["/tandem.v1.PredictionService/ClearQuarantine"] =
      AnswerMessage<v1::ClearQuarantineRequest>([this](const v1::ClearQuarantineRequest&) {
        v1::ClearQuarantineResponse cleared;
        cleared.set_cleared(router_.ClearQuarantine());
        return absl::StatusOr<v1::ClearQuarantineResponse>(std::move(cleared));
      });
}

v1::ServerStatusResponse PredictionService::Status() const {
  v1::ServerStatusResponse response;
  response.set_version(std::string(Version()));
  response.set_uptime_seconds(ToSeconds(clock_.Now() - started_));
  for (const PoolReport& pool : pools_()) FillPool(pool, response.add_pools());
  for (const ModelStatus& model : router_.Models()) FillModel(model, response.add_models());
  for (const QuarantinedRequest& request : router_.Quarantined()) {
    FillQuarantined(request, response.add_quarantine());
  }
  return response;
}

}  // namespace tandem::server
