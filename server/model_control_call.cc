#include "server/model_control_call.h"

#include "absl/strings/str_cat.h"
#include "inference.pb.h"

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

// What ends the call with an empty message of the type once the control is done.
template <typename Response>
ModelControl::Done EndWhenDone(Call& call) {
  return [&call](const absl::Status& done) {
    call.Post([&call, done] {
      if (done.ok()) {
        call.Finish(SerializeMessage(Response()));
      } else {
        call.Finish(done);
      }
    });
  };
}

}  // namespace

void ModelLoadCall::Answer(const grpc::ByteBuffer& request) {
  inference::RepositoryModelLoadRequest message;
  absl::Status status = ParseMessage(request, &message);
  if (status.ok()) status = CheckControl(models_, message);
  if (!status.ok()) return call().Finish(status);
  models_.Load(message.model_name(), EndWhenDone<inference::RepositoryModelLoadResponse>(call()));
}

void ModelUnloadCall::Answer(const grpc::ByteBuffer& request) {
  inference::RepositoryModelUnloadRequest message;
  absl::Status status = ParseMessage(request, &message);
  if (status.ok()) status = CheckControl(models_, message);
  if (!status.ok()) return call().Finish(status);
  models_.Unload(message.model_name(),
                 EndWhenDone<inference::RepositoryModelUnloadResponse>(call()));
}

}  // namespace tandem::server
