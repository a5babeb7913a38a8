// What every gRPC method of the server needs of its call. Pure functions, thread-safe.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "core/clock.h"

namespace tandem::server {

grpc::Status ToGrpcStatus(const absl::Status& status);

// The client's deadline on the server's clock; kNever where it set none.
TimePoint CallDeadline(const grpc::CallbackServerContext& context, TimePoint now);

}  // namespace tandem::server
