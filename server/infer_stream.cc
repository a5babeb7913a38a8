#include "server/infer_stream.h"

#include <algorithm>
#include <utility>

#include "server/grpc_call.h"
#include "server/request_decoder.h"
#include "server/response_encoder.h"
#include "server/wire_split.h"

namespace tandem::server {
namespace {

using inference::ModelInferRequest;
using inference::ModelStreamInferResponse;

// A stream's share, of requests and of bytes of them and of their answers: beyond it, the server
// reads no further until answers have been taken.
constexpr size_t kMostOpen = 64;
constexpr size_t kMostOpenBytes = size_t{8} << 20;

// Of a request that is wrong otherwise. Empty where there is none to be found.
std::string IdOf(grpc::ByteBuffer bytes) {
  const Pieces pieces = BufferPieces(bytes);
  const auto split = SplitRawContents(pieces, ModelInferRequest::kRawInputContentsFieldNumber);
  ModelInferRequest message;
  return split.ok() && ParsePieces(split->rest, &message) ? message.id() : "";
}

ModelStreamInferResponse ErrorMessage(const absl::Status& status, std::string id) {
  ModelStreamInferResponse message;
  message.set_error_message(std::string(status.message()));
  message.mutable_infer_response()->set_id(std::move(id));
  return message;
}

}  // namespace

InferStream::InferStream(Call& call, const Clock& clock, Router& router, UnsentAnswers& unsent)
    : call_(call),
      clock_(clock),
      router_(router),
      unsent_(unsent),
      deadline_(call.Deadline(clock.Now())),
      client_(call.client()) {}

void InferStream::OnMessage(const grpc::ByteBuffer& message) {
  reading_ = false;
  if (finished_) return;
  ++open_;
  open_bytes_ += message.Length();
  Proceed();
  Submit(message);
}

void InferStream::OnNoMessage() {
  reading_ = false;
  reads_ended_ = true;
  Proceed();
}

void InferStream::Submit(const grpc::ByteBuffer& bytes) {
  const size_t size = bytes.Length();
  absl::StatusOr<DecodedRequest> decoded = DecodeInferRequest(bytes, clock_.Now());
  if (!decoded.ok()) {
    router_.NoteRefused(decoded.status());
    Send(size, ErrorMessage(decoded.status(), IdOf(bytes)));
    return;
  }
  const std::string id = decoded->id;
  const bool wants_placement = decoded->wants_placement;
  decoded->request->deadline = std::min(decoded->request->deadline, deadline_);
  decoded->request->client = client_;
  decoded->request->cancelled = cancelled_;
  router_.Submit(
      std::move(decoded->request), [this, size, id, wants_placement](InferResponse response) {
        call_.Post([this, size, id, wants_placement, response = std::move(response)] {
          if (!response.status.ok()) {
            Send(size, ErrorMessage(response.status, id));
            return;
          }
          ModelStreamInferResponse answer;
          *answer.mutable_infer_response() = MakeInferResponse(response, id, wants_placement);
          absl::StatusOr<std::shared_ptr<const void>> counted =
              unsent_.AdmitCopy(client_, answer.ByteSizeLong(), nullptr);
          if (!counted.ok()) {
            Send(size, ErrorMessage(counted.status(), id));
            return;
          }
          Send(size, answer, *std::move(counted));
        });
      });
}

void InferStream::Send(size_t request_bytes, const ModelStreamInferResponse& message,
                       std::shared_ptr<const void> counted) {
  answers_.push_back({SerializeMessage(message), std::move(counted)});
  open_bytes_ += answers_.back().message.Length();
  open_bytes_ -= request_bytes;
  Proceed();
}

void InferStream::OnWritten(bool ok) {
  writing_ = false;
  open_bytes_ -= answers_.front().message.Length();
  answers_.pop_front();
  --open_;
  if (!ok) broken_ = true;
  Proceed();
}

void InferStream::Proceed() {
  if (finished_) return;
  if (broken_) {
    open_ -= answers_.size();
    for (const Answer& answer : answers_) open_bytes_ -= answer.message.Length();
    answers_.clear();
  }
  if (!reading_ && !reads_ended_ && !draining_ && open_ < kMostOpen &&
      open_bytes_ < kMostOpenBytes) {
    reading_ = true;
    call_.Read();
  }
  if (!writing_ && !answers_.empty()) {
    writing_ = true;
    call_.Write(answers_.front().message);
  }
  if (open_ > 0 || !(reads_ended_ || draining_)) return;
  finished_ = true;
  call_.Finish(reads_ended_
                   ? absl::OkStatus()
                   : absl::UnavailableError("the server is shutting down; try another one"));
}

void InferStream::OnDrain() {
  draining_ = true;
  Proceed();
}

void InferStream::OnCancel() { cancelled_->store(true, std::memory_order_relaxed); }

}  // namespace tandem::server
