#include "server/inference_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/infer_call.h"
#include "server/infer_stream.h"
#include "server/model_control_call.h"
#include "server/unary_responder.h"

namespace tandem::server {
namespace {

std::string Path(const char* method) {
  return absl::StrCat("/inference.GRPCInferenceService/", method);
}

}  // namespace

absl::StatusOr<inference::RepositoryIndexResponse> InferenceService::Index(
    const inference::RepositoryIndexRequest& request) const {
  absl::StatusOr<inference::RepositoryIndexResponse> index = queries_.Answer(request);
  if (!index.ok() || request.ready()) return index;
  for (const std::string& name : models_.Unloaded()) {
    auto* const entry = index->add_models();
    entry->set_name(name);
    entry->set_state(ModelStateName(ModelState::kUnavailable));
    entry->set_reason("it was unloaded, and stays so until it is loaded again");
  }
  return index;
}

template <typename Request>
Call::MakeResponder InferenceService::Ask() const {
  return AnswerMessage<Request>(
      [this](const Request& message) { return queries_.Answer(message); });
}

void InferenceService::AddTo(Call::Methods& methods) {
  methods[Path("ModelInfer")] = [this](Call& call) {
    return std::make_unique<InferCall>(call, clock_, router_, state_, unsent_);
  };
  methods[Path("ModelStreamInfer")] = [this](Call& call) {
    return std::make_unique<InferStream>(call, clock_, router_, unsent_);
  };
  methods[Path("ServerLive")] = Ask<inference::ServerLiveRequest>();
  methods[Path("ServerReady")] = Ask<inference::ServerReadyRequest>();
  methods[Path("ServerMetadata")] = Ask<inference::ServerMetadataRequest>();
  methods[Path("ModelReady")] = Ask<inference::ModelReadyRequest>();
  methods[Path("ModelMetadata")] = Ask<inference::ModelMetadataRequest>();
  methods[Path("ModelConfig")] = Ask<inference::ModelConfigRequest>();
  methods[Path("ModelStatistics")] = Ask<inference::ModelStatisticsRequest>();
  methods[Path("RepositoryIndex")] = AnswerMessage<inference::RepositoryIndexRequest>(
      [this](const auto& request) { return Index(request); });
  methods[Path("RepositoryModelLoad")] = [this](Call& call) {
    return std::make_unique<ModelLoadCall>(call, models_);
  };
  methods[Path("RepositoryModelUnload")] = [this](Call& call) {
    return std::make_unique<ModelUnloadCall>(call, models_);
  };
}

}  // namespace tandem::server
