#include "server/inference_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/infer_call.h"
#include "server/infer_stream.h"

namespace tandem::server {
namespace {

absl::Status NoModelControl() {
  return absl::UnimplementedError(
      "clients may not load and unload models here: the operator allows it with "
      "--model-control=explicit, or has the repository read again with SIGHUP");
}

// Whether the call may change models, and says nothing that would be passed over.
template <typename Request>
absl::Status CheckControl(const ModelControl& models, const Request& request) {
  if (!models.is_open()) return NoModelControl();
  if (request.model_name().empty()) {
    return absl::InvalidArgumentError("model_name is empty: name a model of the repository");
  }
  for (const auto& [name, value] : request.parameters()) {
    if (name == "unload_dependents") continue;
    return absl::InvalidArgumentError(
        absl::StrCat("parameter \"", name.substr(0, 100),
                     "\" is not acted on: what is loaded is what the repository holds"));
  }
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* InferenceService::ModelInfer(Context* context, const Buffer* request,
                                                       Buffer* response) {
  if (const absl::Status accepts = state_.accepts(); !accepts.ok()) {
    return EndUnary(context, accepts);
  }
  return InferCall::Start(clock_, router_, *context, *request, response);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* InferenceService::ModelStreamInfer(
    Context* context) {
  return new InferStream(clock_, router_, CallDeadline(*context, clock_.Now()), ClientOf(*context));
}

grpc::ServerUnaryReactor* InferenceService::RepositoryModelLoad(Context* context,
                                                                const Buffer* request,
                                                                Buffer* response) {
  inference::RepositoryModelLoadRequest message;
  absl::Status status = ParseMessage(*request, &message);
  if (status.ok()) status = CheckControl(models_, message);
  if (!status.ok()) return EndUnary(context, status);
  *response = SerializeMessage(inference::RepositoryModelLoadResponse());
  Reactor* const reactor = context->DefaultReactor();
  models_.Load(message.model_name(),
               [reactor](const absl::Status& done) { reactor->Finish(ToGrpcStatus(done)); });
  return reactor;
}

grpc::ServerUnaryReactor* InferenceService::RepositoryModelUnload(Context* context,
                                                                  const Buffer* request,
                                                                  Buffer* response) {
  inference::RepositoryModelUnloadRequest message;
  absl::Status status = ParseMessage(*request, &message);
  if (status.ok()) status = CheckControl(models_, message);
  if (!status.ok()) return EndUnary(context, status);
  *response = SerializeMessage(inference::RepositoryModelUnloadResponse());
  Reactor* const reactor = context->DefaultReactor();
  models_.Unload(message.model_name(),
                 [reactor](const absl::Status& done) { reactor->Finish(ToGrpcStatus(done)); });
  return reactor;
}

}  // namespace tandem::server
