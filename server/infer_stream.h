// One ModelStreamInfer call: requests are run as they come, and each is answered when it is done,
// in no set order; the request's id tells which.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <deque>
#include <memory>

#include "core/clock.h"
#include "inference.pb.h"
#include "router/router.h"
#include "server/call.h"
#include "server/unsent_answers.h"

namespace tandem::server {

class InferStream final : public Responder {
 public:
  // All outlive the call.
  InferStream(Call& call, const Clock& clock, Router& router, UnsentAnswers& unsent);

  void OnMessage(const grpc::ByteBuffer& message) override;
  void OnNoMessage() override;
  void OnWritten(bool ok) override;
  void OnCancel() override;
  void OnDrain() override;

 private:
  struct Answer {
    grpc::ByteBuffer message;
    // Of UnsentAnswers.
    std::shared_ptr<const void> counted;
  };

  void Submit(const grpc::ByteBuffer& bytes);
  // The answer to a request of so many bytes.
  void Send(size_t request_bytes, const inference::ModelStreamInferResponse& message,
            std::shared_ptr<const void> counted = nullptr);
  // Reads the next request where there is room, writes the next answer, and ends the call when all
  // is done.
  void Proceed();

  Call& call_;
  const Clock& clock_;
  Router& router_;
  UnsentAnswers& unsent_;
  const TimePoint deadline_;
  // As InferRequest::client.
  const uint64_t client_;
  // Shared with the router, which may look at it after the call has ended.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);

  bool reading_ = true;
  bool writing_ = false;
  // The client sends no more, or cannot be written to.
  bool reads_ended_ = false;
  bool broken_ = false;
  // The server ends, so that no more is read.
  bool draining_ = false;
  bool finished_ = false;
  // Requests that were read and whose answer is not yet sent.
  size_t open_ = 0;
  // Theirs, or of the answer where it is there.
  size_t open_bytes_ = 0;
  // The first is being written while writing_.
  std::deque<Answer> answers_;
};

}  // namespace tandem::server
