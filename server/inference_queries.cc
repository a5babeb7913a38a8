#include "server/inference_queries.h"

#include "absl/strings/str_cat.h"
#include "core/version.h"
#include "server/model_description.h"
#include "server/request_decoder.h"

namespace tandem::server {
absl::StatusOr<ModelStatus> InferenceQueries::Find(const std::string& name,
                                                   const std::string& version) const {
  const absl::StatusOr<int64_t> number = ParseVersion(version);
  if (!number.ok()) return number.status();
  return router_.FindModel(name, *number);
}

absl::StatusOr<inference::ServerLiveResponse> InferenceQueries::Answer(
    const inference::ServerLiveRequest&) const {
  inference::ServerLiveResponse response;
  response.set_live(true);
  return response;
}

absl::StatusOr<inference::ServerReadyResponse> InferenceQueries::Answer(
    const inference::ServerReadyRequest&) const {
  inference::ServerReadyResponse response;
  response.set_ready(state_.ready());
  return response;
}

absl::StatusOr<inference::ServerMetadataResponse> InferenceQueries::Answer(
    const inference::ServerMetadataRequest&) const {
  inference::ServerMetadataResponse response;
  response.set_name("tandem");
  response.set_version(std::string(Version()));
  for (const char* extension : {"model_repository", "model_configuration", "statistics"}) {
    response.add_extensions(extension);
  }
  return response;
}

absl::StatusOr<inference::ModelReadyResponse> InferenceQueries::Answer(
    const inference::ModelReadyRequest& request) const {
  const absl::StatusOr<ModelStatus> model = Find(request.name(), request.version());
  inference::ModelReadyResponse response;
  response.set_ready(model.ok() && model->state == ModelState::kReady && !state_.draining());
  return response;
}

absl::StatusOr<inference::ModelMetadataResponse> InferenceQueries::Answer(
    const inference::ModelMetadataRequest& request) const {
  const absl::StatusOr<ModelStatus> model = Find(request.name(), request.version());
  if (!model.ok()) return model.status();
  return DescribeModel(*model, router_.Models());
}

absl::StatusOr<inference::ModelStatisticsResponse> InferenceQueries::Answer(
    const inference::ModelStatisticsRequest& request) const {
  inference::ModelStatisticsResponse response;
  absl::StatusOr<ModelStatus> named;
  if (!request.name().empty()) {
    named = Find(request.name(), request.version());
    if (!named.ok()) return named.status();
  }
  for (const ModelStatus& model : router_.Models()) {
    if (!request.name().empty() && model.name != request.name()) continue;
    if (!request.version().empty() && model.version != named->version) continue;
    *response.add_model_stats() = DescribeStatistics(model);
  }
  return response;
}

absl::StatusOr<inference::ModelConfigResponse> InferenceQueries::Answer(
    const inference::ModelConfigRequest& request) const {
  const absl::StatusOr<ModelStatus> model = Find(request.name(), request.version());
  if (!model.ok()) return model.status();
  if (model->model == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("model \"", model->name, "\" has no usable configuration: ", model->reason));
  }
  inference::ModelConfigResponse response;
  *response.mutable_config() = DescribeConfig(model->model->config);
  return response;
}

absl::StatusOr<inference::RepositoryIndexResponse> InferenceQueries::Answer(
    const inference::RepositoryIndexRequest& request) const {
  inference::RepositoryIndexResponse response;
  for (const ModelStatus& model : router_.Models()) {
    if (request.ready() && model.state != ModelState::kReady) continue;
    auto* entry = response.add_models();
    entry->set_name(model.name);
    entry->set_version(VersionText(model.version));
    entry->set_state(ModelStateName(model.state));
    entry->set_reason(model.reason);
  }
  return response;
}

}  // namespace tandem::server
