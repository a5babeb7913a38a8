#include "server/inference_service.h"

#include "server/infer_call.h"
#include "server/infer_stream.h"

namespace tandem::server {

grpc::ServerUnaryReactor* InferenceService::ModelInfer(Context* context, const Buffer* request,
                                                       Buffer* response) {
  if (const absl::Status accepts = state_.accepts(); !accepts.ok()) {
    return EndUnary(context, accepts);
  }
  return InferCall::Start(clock_, router_, *context, *request, response);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* InferenceService::ModelStreamInfer(
    Context* context) {
  return new InferStream(clock_, router_, CallDeadline(*context, clock_.Now()));
}

}  // namespace tandem::server
