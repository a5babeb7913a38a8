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
