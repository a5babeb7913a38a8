// Makes the router's requests out of ModelInferRequest messages. Pure functions, thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/clock.h"
#include "core/infer_request.h"
#include "inference.pb.h"
#include "server/wire_split.h"

namespace grpc {
class ByteBuffer;
}  // namespace grpc

namespace tandem::server {

struct DecodedRequest {
  std::unique_ptr<InferRequest> request;
  // Chosen by the client, to be returned.
  std::string id;
  // The client asked to be told where the request ran (parameter `tandem_placement`).
  bool wants_placement = false;
};

// A message as it came from the network. Raw contents are not copied: the request's keep_alive
// holds the buffer. INVALID_ARGUMENT where it is no valid request by itself; whether it fits the
// model is for the router to say.
absl::StatusOr<DecodedRequest> DecodeInferRequest(const grpc::ByteBuffer& buffer,
                                                  TimePoint arrival);

// A message that is parsed already; it moves into the request's keep_alive.
absl::StatusOr<DecodedRequest> DecodeInferRequest(inference::ModelInferRequest message,
                                                  TimePoint arrival);

// "" is the latest version, -1. INVALID_ARGUMENT for what is no number above 0.
absl::StatusOr<int64_t> ParseVersion(absl::string_view version);

// The buffer's bytes in the pieces in which it came. They live as long as the buffer, or a copy of
// it.
Pieces BufferPieces(grpc::ByteBuffer& buffer);

// Parses what SplitRawContents left. False where it is malformed.
bool ParsePieces(const Pieces& pieces, google::protobuf::MessageLite* message);

}  // namespace tandem::server
