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

InferStream::InferStream(const Clock& clock, Router& router, TimePoint deadline, uint64_t client)
    : clock_(clock), router_(router), deadline_(deadline), client_(client), reading_(true) {
  StartRead(&request_);
}

void InferStream::OnReadDone(bool ok) {
  grpc::ByteBuffer bytes;
  bool done = false;
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (ok) {
      bytes.Swap(&request_);
      ++open_;
    } else {
      reads_ended_ = true;
    }
    done = Proceed();
  }
  if (ok) {
    Submit(bytes);
  } else if (done) {
    Finish(grpc::Status::OK);
  }
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
    if (!response.status.ok()) {
      Send(ErrorMessage(response.status, id));
      return;
    }
    ModelStreamInferResponse answer;
    *answer.mutable_infer_response() = MakeInferResponse(response, id, wants_placement);
    Send(answer);
  });
}

void InferStream::Send(const ModelStreamInferResponse& message) {
  grpc::ByteBuffer bytes = SerializeMessage(message);
  bool done = false;
  {
    absl::MutexLock lock(&mutex_);
    answers_.push_back(std::move(bytes));
    done = Proceed();
  }
  if (done) Finish(grpc::Status::OK);
}

void InferStream::OnWriteDone(bool ok) {
  bool done = false;
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    answers_.pop_front();
    --open_;
    if (!ok) broken_ = true;
    done = Proceed();
  }
  if (done) Finish(grpc::Status::OK);
}

bool InferStream::Proceed() {
  if (finished_) return false;
  if (broken_) {
    open_ -= answers_.size();
    answers_.clear();
  }
  if (!reading_ && !reads_ended_ && open_ < kMostOpen) {
    reading_ = true;
    StartRead(&request_);
  }
  if (!writing_ && !answers_.empty()) {
    writing_ = true;
    StartWrite(&answers_.front());
  }
  finished_ = reads_ended_ && open_ == 0;
  return finished_;
}

void InferStream::OnCancel() { cancelled_->store(true, std::memory_order_relaxed); }

void InferStream::OnDone() { delete this; }

}  // namespace tandem::server
