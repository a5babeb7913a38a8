// What every gRPC method of the server needs of its call. Pure functions, thread-safe.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "core/clock.h"

namespace tandem::server {

// The message is made printable, and cut to what every client can receive.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The same for a call that is about to finish. Where the status says when another try makes sense,
// the client is told, spread a little so that not all come back at once: in the trailing metadata
// (grpc-retry-pushback-ms) and as google.rpc.RetryInfo in the status's details.
grpc::Status EndingStatus(const absl::Status& status, grpc::CallbackServerContext& context);

// The client's deadline on the server's clock; kNever where it set none.
TimePoint CallDeadline(const grpc::CallbackServerContext& context, TimePoint now);

// A number for the client's connection, as InferRequest::client.
uint64_t ClientOf(const grpc::CallbackServerContext& context);

// INVALID_ARGUMENT, naming the message's type, where the bytes are no such message.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message);
grpc::ByteBuffer SerializeMessage(const google::protobuf::MessageLite& message);

// Ends a call that has nothing to wait for.
grpc::ServerUnaryReactor* EndUnary(grpc::CallbackServerContext* context,
                                   const absl::Status& status);

// Parses the request, answers it with what `answer` makes of it (an absl::StatusOr of the
// response's message), and ends the call.
template <typename Request, typename Answer>
grpc::ServerUnaryReactor* AnswerUnary(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer& request, grpc::ByteBuffer* response,
                                      const Answer& answer) {
  Request message;
  if (const absl::Status parsed = ParseMessage(request, &message); !parsed.ok()) {
    return EndUnary(context, parsed);
  }
  const auto answered = answer(message);
  if (answered.ok()) *response = SerializeMessage(*answered);
  return EndUnary(context, answered.status());
}

// A generated service whose methods take and give bytes: RawMethods<Echo::Service,
// Echo::WithRawCallbackMethod_Say, …>::type.
template <typename Service, template <typename> class... Methods>
struct RawMethods {
  using type = Service;
};
template <typename Service, template <typename> class First, template <typename> class... Rest>
struct RawMethods<Service, First, Rest...> {
  using type = First<typename RawMethods<Service, Rest...>::type>;
};

}  // namespace tandem::server
