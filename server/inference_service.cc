#include "server/inference_service.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/version.h"
#include "server/grpc_call.h"
#include "server/infer_call.h"
#include "server/infer_stream.h"
#include "server/model_description.h"
#include "server/request_decoder.h"

namespace tandem::server {
namespace {

grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* NoModelControl(grpc::CallbackServerContext* context) {
  return Finish(context, absl::UnimplementedError(
                             "models are loaded when the server starts; change the model "
                             "repository and start the server again"));
}

}  // namespace

absl::StatusOr<ModelStatus> InferenceService::Find(const std::string& name,
                                                   const std::string& version) const {
  const absl::StatusOr<int64_t> number = ParseVersion(version);
  if (!number.ok()) return number.status();
  return router_.FindModel(name, *number);
}

grpc::ServerUnaryReactor* InferenceService::ModelInfer(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  if (const absl::Status accepts = state_.accepts(); !accepts.ok()) return Finish(context, accepts);
  return InferCall::Start(clock_, router_, *context, *request, response);
}

grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse>*
InferenceService::ModelStreamInfer(grpc::CallbackServerContext* context) {
  return new InferStream(clock_, router_, CallDeadline(*context, clock_.Now()));
}

grpc::ServerUnaryReactor* InferenceService::ServerLive(grpc::CallbackServerContext* context,
                                                       const inference::ServerLiveRequest*,
                                                       inference::ServerLiveResponse* response) {
  response->set_live(true);
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ServerReady(grpc::CallbackServerContext* context,
                                                        const inference::ServerReadyRequest*,
                                                        inference::ServerReadyResponse* response) {
  response->set_ready(state_.ready());
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ModelReady(grpc::CallbackServerContext* context,
                                                       const inference::ModelReadyRequest* request,
                                                       inference::ModelReadyResponse* response) {
  const absl::StatusOr<ModelStatus> model = Find(request->name(), request->version());
  // As clients of the protocol expect: what is not there is not ready, and no error.
  const bool ready = model.ok() && model->state == ModelState::kReady;
  response->set_ready(ready && !state_.draining());
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ServerMetadata(
    grpc::CallbackServerContext* context, const inference::ServerMetadataRequest*,
    inference::ServerMetadataResponse* response) {
  response->set_name("tandem");
  response->set_version(std::string(Version()));
  for (const char* extension : {"model_repository", "model_configuration", "statistics"}) {
    response->add_extensions(extension);
  }
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ModelMetadata(
    grpc::CallbackServerContext* context, const inference::ModelMetadataRequest* request,
    inference::ModelMetadataResponse* response) {
  const absl::StatusOr<ModelStatus> model = Find(request->name(), request->version());
  if (!model.ok()) return Finish(context, model.status());
  *response = DescribeModel(*model, router_.Models());
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ModelConfig(
    grpc::CallbackServerContext* context, const inference::ModelConfigRequest* request,
    inference::ModelConfigResponse* response) {
  const absl::StatusOr<ModelStatus> model = Find(request->name(), request->version());
  if (!model.ok()) return Finish(context, model.status());
  if (model->model == nullptr) {
    return Finish(context,
                  absl::UnavailableError(absl::StrCat(
                      "model '", model->name, "' has no usable configuration: ", model->reason)));
  }
  *response->mutable_config() = DescribeConfig(model->model->config);
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ModelStatistics(
    grpc::CallbackServerContext* context, const inference::ModelStatisticsRequest* request,
    inference::ModelStatisticsResponse* response) {
  if (!request->name().empty()) {
    const absl::StatusOr<ModelStatus> model = Find(request->name(), request->version());
    if (!model.ok()) return Finish(context, model.status());
    *response->add_model_stats() = DescribeStatistics(*model);
    return Finish(context, absl::OkStatus());
  }
  for (const ModelStatus& model : router_.Models()) {
    *response->add_model_stats() = DescribeStatistics(model);
  }
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::RepositoryIndex(
    grpc::CallbackServerContext* context, const inference::RepositoryIndexRequest* request,
    inference::RepositoryIndexResponse* response) {
  for (const ModelStatus& model : router_.Models()) {
    if (request->ready() && model.state != ModelState::kReady) continue;
    auto* entry = response->add_models();
    entry->set_name(model.name);
    if (model.version > 0) entry->set_version(absl::StrCat(model.version));
    entry->set_state(ModelStateName(model.state));
    entry->set_reason(model.reason);
  }
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::RepositoryModelLoad(
    grpc::CallbackServerContext* context, const inference::RepositoryModelLoadRequest*,
    inference::RepositoryModelLoadResponse*) {
  return NoModelControl(context);
}

grpc::ServerUnaryReactor* InferenceService::RepositoryModelUnload(
    grpc::CallbackServerContext* context, const inference::RepositoryModelUnloadRequest*,
    inference::RepositoryModelUnloadResponse*) {
  return NoModelControl(context);
}

}  // namespace tandem::server
