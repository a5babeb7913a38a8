// Answers of calls with one request and one response. As Call, for the thread of its queue.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "server/call.h"
#include "server/grpc_call.h"

namespace tandem::server {

class UnaryResponder : public Responder {
 public:
  explicit UnaryResponder(Call& call) : call_(call) {}

  void OnMessage(const grpc::ByteBuffer& request) final { Answer(request); }
  void OnNoMessage() final {
    call_.Finish(absl::InvalidArgumentError("the call brought no request"));
  }

 protected:
  // Ends the call, now or later.
  virtual void Answer(const grpc::ByteBuffer& request) = 0;

  Call& call() { return call_; }

 private:
  Call& call_;
};

// Answers at once: parses the request, and sends what `answer` makes of it (an absl::StatusOr of
// the response's message).
template <typename Request, typename MakeAnswer>
class MessageResponder final : public UnaryResponder {
 public:
  MessageResponder(Call& call, const MakeAnswer& answer) : UnaryResponder(call), answer_(answer) {}

 private:
  void Answer(const grpc::ByteBuffer& request) override {
    Request message;
    if (const absl::Status parsed = ParseMessage(request, &message); !parsed.ok()) {
      call().Finish(parsed);
      return;
    }
    const auto answered = answer_(message);
    if (answered.ok()) {
      call().Finish(SerializeMessage(*answered));
    } else {
      call().Finish(answered.status());
    }
  }

  const MakeAnswer answer_;
};

template <typename Request, typename MakeAnswer>
Call::MakeResponder AnswerMessage(MakeAnswer answer) {
  return [answer = std::move(answer)](Call& call) {
    return std::make_unique<MessageResponder<Request, MakeAnswer>>(call, answer);
  };
}

}  // namespace tandem::server
