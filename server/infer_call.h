// One ModelInfer call: from the client's bytes to the router and back.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/infer_request.h"
#include "server/serving_state.h"
#include "server/unary_responder.h"
#include "server/unsent_answers.h"

namespace tandem::server {

class InferCall final : public UnaryResponder {
 public:
  // All outlive the call.
  InferCall(Call& call, const Clock& clock, Router& router, const ServingState& state,
            UnsentAnswers& unsent)
      : UnaryResponder(call), clock_(clock), router_(router), state_(state), unsent_(unsent) {}

  void OnCancel() override;

 private:
  // Decodes the request and submits it.
  void Answer(const grpc::ByteBuffer& request) override;
  void Reply();

  const Clock& clock_;
  Router& router_;
  const ServingState& state_;
  UnsentAnswers& unsent_;
  std::string id_;
  bool wants_placement_ = false;
  // As InferRequest::client.
  uint64_t client_ = 0;
  // The router's, from when it is there until it is a message.
  InferResponse response_;
  // Shared with the router, which may look at it after the call has ended.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace tandem::server
