#include "server/infer_call.h"

#include <algorithm>
#include <utility>

#include "server/grpc_call.h"
#include "server/request_decoder.h"
#include "server/response_encoder.h"

namespace tandem::server {

InferCall* InferCall::Start(const Clock& clock, Router& router,
                            grpc::CallbackServerContext& context, const grpc::ByteBuffer& request,
                            grpc::ByteBuffer* response) {
  auto* call = new InferCall(context, response);
  const TimePoint arrival = clock.Now();
  absl::StatusOr<DecodedRequest> decoded = DecodeInferRequest(request, arrival);
  if (!decoded.ok()) {
    call->Finish(ToGrpcStatus(decoded.status()));
    return call;
  }
  call->id_ = std::move(decoded->id);
  call->wants_placement_ = decoded->wants_placement;
  InferRequest& infer = *decoded->request;
  infer.deadline = std::min(infer.deadline, CallDeadline(context, arrival));
  infer.client = ClientOf(context);
  infer.cancelled = call->cancelled_;
  router.Submit(std::move(decoded->request),
                [call](InferResponse answer) { call->Answer(answer); });
  return call;
}

void InferCall::Answer(const InferResponse& response) {
  if (response.status.ok()) {
    *response_ = EncodeInferResponse(response, std::move(id_), wants_placement_);
  }
  Finish(EndingStatus(response.status, context_));
}

void InferCall::OnCancel() { cancelled_->store(true, std::memory_order_relaxed); }

void InferCall::OnDone() { delete this; }

}  // namespace tandem::server
