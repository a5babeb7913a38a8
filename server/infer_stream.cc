#include "server/infer_stream.h"

#include <algorithm>
#include <utility>

#include "server/grpc_call.h"
#include "server/request_decoder.h"
#include "server/response_encoder.h"

namespace tandem::server {
namespace {

using inference::ModelInferRequest;
using inference::ModelStreamInferResponse;

// A stream's share: beyond it, the server reads no further until answers have been taken.
constexpr size_t kMostOpen = 64;

ModelStreamInferResponse ErrorMessage(const absl::Status& status, std::string id) {
  ModelStreamInferResponse message;
  message.set_error_message(std::string(status.message()));
  message.mutable_infer_response()->set_id(std::move(id));
  return message;
}

}  // namespace

InferStream::InferStream(Call& call, const Clock& clock, Router& router)
    : call_(call),
      clock_(clock),
      router_(router),
      deadline_(call.Deadline(clock.Now())),
      client_(call.client()) {}

void InferStream::OnMessage(const grpc::ByteBuffer& message) {
  reading_ = false;
  ++open_;
  Proceed();
  Submit(message);
}

void InferStream::OnNoMessage() {
  reading_ = false;
  reads_ended_ = true;
  Proceed();
}

void InferStream::Submit(const grpc::ByteBuffer& bytes) {
  ModelInferRequest message;
  if (const absl::Status parsed = ParseMessage(bytes, &message); !parsed.ok()) {
    Send(ErrorMessage(parsed, ""));
    return;
  }
  const std::string id = message.id();
  absl::StatusOr<DecodedRequest> decoded = DecodeInferRequest(std::move(message), clock_.Now());
  if (!decoded.ok()) {
    Send(ErrorMessage(decoded.status(), id));
    return;
  }
  const bool wants_placement = decoded->wants_placement;
  decoded->request->deadline = std::min(decoded->request->deadline, deadline_);
  decoded->request->client = client_;
  decoded->request->cancelled = cancelled_;
  router_.Submit(std::move(decoded->request), [this, id, wants_placement](InferResponse response) {
    call_.Post([this, id, wants_placement, response = std::move(response)] {
      if (!response.status.ok()) {
        Send(ErrorMessage(response.status, id));
        return;
      }
      ModelStreamInferResponse answer;
      *answer.mutable_infer_response() = MakeInferResponse(response, id, wants_placement);
      Send(answer);
    });
  });
}

void InferStream::Send(const ModelStreamInferResponse& message) {
  answers_.push_back(SerializeMessage(message));
  Proceed();
}

void InferStream::OnWritten(bool ok) {
  writing_ = false;
  answers_.pop_front();
  --open_;
  if (!ok) broken_ = true;
  Proceed();
}

void InferStream::Proceed() {
  if (finished_) return;
  if (broken_) {
    open_ -= answers_.size();
    answers_.clear();
  }
  if (!reading_ && !reads_ended_ && open_ < kMostOpen) {
    reading_ = true;
    call_.Read();
  }
  if (!writing_ && !answers_.empty()) {
    writing_ = true;
    call_.Write(answers_.front());
  }
  if (!reads_ended_ || open_ > 0) return;
  finished_ = true;
  call_.Finish(absl::OkStatus());
}

void InferStream::OnCancel() { cancelled_->store(true, std::memory_order_relaxed); }

}  // namespace tandem::server
