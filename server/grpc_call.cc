#include "server/grpc_call.h"

#include <string>

namespace tandem::server {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  // absl's codes are gRPC's.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

TimePoint CallDeadline(const grpc::CallbackServerContext& context, TimePoint now) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  // A deadline beyond a year is as good as none, and sums without overflow are easier to trust.
  constexpr auto kFarAway = std::chrono::hours(24 * 365);
  const std::chrono::system_clock::time_point wall = std::chrono::system_clock::now();
  if (deadline > wall + kFarAway) return kNever;
  return now + std::chrono::duration_cast<Duration>(deadline - wall);
}

}  // namespace tandem::server
