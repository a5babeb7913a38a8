#include "server/grpc_call.h"

#include <string>

#include "inference.pb.h"
#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {

TEST_CASE("A status keeps its code, and its message becomes printable and short", "[grpc_call]") {
  const grpc::Status status = ToGrpcStatus(absl::NotFoundError("no \"a\nb\x1b[31m\xff\""));
  CHECK(status.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(status.error_message() == "no \"a b [31m?\"");
  CHECK(ToGrpcStatus(absl::InternalError(std::string(100'000, 'x'))).error_message().size() ==
        2000);
  CHECK(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST_CASE("A deadline is the client's, and a far one is none", "[grpc_call]") {
  const TimePoint now{std::chrono::hours(1)};
  const auto in_hours = [](int64_t hours) {
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_hours(hours, GPR_TIMESPAN));
  };
  const TimePoint soon = CallDeadline(in_hours(2), now);
  CHECK(soon <= now + std::chrono::hours(2));
  CHECK(soon > now + std::chrono::hours(1));
  CHECK(CallDeadline(gpr_convert_clock_type(in_hours(2), GPR_CLOCK_REALTIME), now) >
        soon - std::chrono::hours(1));
  // The last is the longest that the protocol can tell.
  for (const int64_t hours : {2'000'000, 2'562'046, 10'000'000, 99'999'999}) {
    CAPTURE(hours);
    CHECK(CallDeadline(in_hours(hours), now) == kNever);
  }
  CHECK(CallDeadline(gpr_inf_future(GPR_CLOCK_MONOTONIC), now) == kNever);
  CHECK(CallDeadline(in_hours(-1), now) < now);
  CHECK(CallDeadline(gpr_inf_past(GPR_CLOCK_REALTIME), now) < now);
}

TEST_CASE("Bytes that are no such message are refused with the message's name", "[grpc_call]") {
  inference::ModelReadyRequest message;
  const absl::Status parsed = ParseMessage(MakeBuffer("\x0a\xff\xff", 2), &message);
  CHECK(absl::IsInvalidArgument(parsed));
  CHECK(std::string(parsed.message()) ==
        "the request is not a valid inference.ModelReadyRequest message");
}

TEST_CASE("A message is read from any slices, and from none", "[grpc_call]") {
  inference::ModelReadyRequest message;
  message.set_name("echo");
  message.set_version("3");
  const std::string bytes = BufferText(SerializeMessage(message));
  for (const size_t slice_size : {size_t{1}, size_t{3}, size_t{100}}) {
    inference::ModelReadyRequest read;
    REQUIRE(ParseMessage(MakeBuffer(bytes, slice_size), &read).ok());
    CHECK(read.name() == "echo");
    CHECK(read.version() == "3");
  }
  CHECK(ParseMessage(grpc::ByteBuffer(), &message).ok());
  CHECK(message.name().empty());
}

}  // namespace tandem::server
