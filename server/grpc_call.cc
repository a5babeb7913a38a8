#include "server/grpc_call.h"

#include <google/protobuf/util/time_util.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/printable.h"
#include "core/retry_hint.h"
#include "google_rpc.pb.h"

namespace tandem::server {
namespace {

// gRPC sends the message in the trailing metadata, of which clients take 8 KiB by default. It may
// hold names that the client chose, at up to 3 bytes for each of theirs.
constexpr size_t kLongestMessage = 2000;

// Between it and three halves of it: before that time there is no sense in another try.
int64_t Spread(int64_t milliseconds) {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_int_distribution<int64_t>(milliseconds, milliseconds * 3 / 2)(random);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  // absl's codes are gRPC's.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      Printable(std::string(status.message().substr(0, kLongestMessage))));
}

grpc::Status EndingStatus(const absl::Status& status, grpc::ServerContextBase& context) {
  const grpc::Status plain = ToGrpcStatus(status);
  const std::optional<Duration> after = RetryAfter(status);
  if (!after.has_value()) return plain;
  const int64_t milliseconds = Spread(std::chrono::ceil<std::chrono::milliseconds>(*after).count());
  context.AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(milliseconds));
  google::rpc::RetryInfo retry;
  *retry.mutable_retry_delay() =
      google::protobuf::util::TimeUtil::MillisecondsToDuration(milliseconds);
  google::rpc::Status details;
  details.set_code(plain.error_code());
  details.set_message(plain.error_message());
  details.add_details()->PackFrom(retry);
  return grpc::Status(plain.error_code(), plain.error_message(), details.SerializeAsString());
}

TimePoint CallDeadline(gpr_timespec deadline, TimePoint now) {
  // gRPC's sums stay at its infinities, where those of std::chrono would overflow.
  const gpr_timespec left = gpr_time_sub(gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC),
                                         gpr_now(GPR_CLOCK_MONOTONIC));
  constexpr int64_t kFarAway = int64_t{365} * 24 * 60 * 60;
  if (left.tv_sec > kFarAway) return kNever;
  return now + std::chrono::seconds(std::max(left.tv_sec, -kFarAway)) +
         std::chrono::nanoseconds(left.tv_nsec);
}

uint64_t ClientOf(const grpc::ServerContextBase& context) {
  return std::hash<std::string>()(context.peer()) | 1;
}

absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message) {
  if (bytes.Valid() && bytes.Length() > kMostMessageBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the request has ", bytes.Length(), " bytes; a ",
                                                   message->GetTypeName(), " message has at most ",
                                                   kMostMessageBytes));
  }
  // The reader wants to change it; a copy shares the bytes.
  grpc::ByteBuffer buffer = bytes;
  bool parsed = false;
  if (buffer.Valid()) {
    grpc::ProtoBufferReader reader(&buffer);
    parsed = message->ParseFromZeroCopyStream(&reader);
  } else {
    parsed = message->ParseFromArray(nullptr, 0);
  }
  if (parsed) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the request is not a valid ", message->GetTypeName(), " message"));
}

grpc::ByteBuffer SerializeMessage(const google::protobuf::MessageLite& message) {
  const std::string bytes = message.SerializeAsString();
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace tandem::server
