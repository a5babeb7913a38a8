#include "server/infer_call.h"

#include <algorithm>
#include <utility>

#include "server/request_decoder.h"
#include "server/response_encoder.h"

namespace tandem::server {

void InferCall::Answer(const grpc::ByteBuffer& request) {
  const TimePoint arrival = clock_.Now();
  const absl::Status accepts = state_.accepts();
  absl::StatusOr<DecodedRequest> decoded =
      accepts.ok() ? DecodeInferRequest(request, arrival) : absl::StatusOr<DecodedRequest>(accepts);
  if (!decoded.ok()) {
    router_.NoteRefused(decoded.status());
    call().Finish(decoded.status());
    return;
  }
  id_ = std::move(decoded->id);
  wants_placement_ = decoded->wants_placement;
  InferRequest& infer = *decoded->request;
  infer.deadline = std::min(infer.deadline, call().Deadline(arrival));
  client_ = call().client();
  infer.client = client_;
  infer.cancelled = cancelled_;
  call().Submit(std::move(decoded->request), [this](InferResponse response) {
    response_ = std::move(response);
    call().Answer([this] { Reply(); });
  });
}

void InferCall::Reply() {
  // The message alone keeps the worker's bytes from now on, and no longer than it has to.
  InferResponse response = std::move(response_);
  if (response.status.ok()) response.status = unsent_.Admit(client_, &response);
  if (response.status.ok()) {
    call().Finish(EncodeInferResponse(response, std::move(id_), wants_placement_));
  } else {
    call().Finish(response.status);
  }
}

void InferCall::OnCancel() { cancelled_->store(true, std::memory_order_relaxed); }

}  // namespace tandem::server
