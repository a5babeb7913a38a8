// What gRPC says of a call, in the server's words, and messages from and to its bytes. Pure
// functions, thread-safe.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpc/support/time.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "core/clock.h"

namespace tandem::server {

// The message is made printable, and cut to what every client can receive.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The same for a call that is about to finish. Where the status says when another try makes sense,
// the client is told, spread a little so that not all come back at once: in the trailing metadata
// (grpc-retry-pushback-ms) and as google.rpc.RetryInfo in the status's details.
grpc::Status EndingStatus(const absl::Status& status, grpc::ServerContextBase& context);

// The deadline on the server's clock; kNever where the client set none, and beyond a year, which is
// as good as none. gRPC's own, since its conversion to std::chrono overflows for far ones.
TimePoint CallDeadline(gpr_timespec deadline, TimePoint now);

// A number for the client's connection, as InferRequest::client.
uint64_t ClientOf(const grpc::ServerContextBase& context);

// INVALID_ARGUMENT, naming the message's type, where the bytes are no such message.
// INVALID_ARGUMENT where it is too large: this is for messages without tensors, and two bytes of
// one may take a hundred when it is parsed.
inline constexpr size_t kMostMessageBytes = size_t{256} << 10;
absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message);
grpc::ByteBuffer SerializeMessage(const google::protobuf::MessageLite& message);

}  // namespace tandem::server
