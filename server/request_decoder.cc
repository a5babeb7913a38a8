#include "server/request_decoder.h"

#include <google/protobuf/arena.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "router/quoted.h"
#include "server/tensor_decoder.h"

namespace tandem::server {
namespace {

using inference::InferParameter;
using inference::ModelInferRequest;

// What keeps the bytes of a request's inputs.
struct RequestBytes {
  grpc::ByteBuffer buffer;
  ModelInferRequest message;
  OwnedBytes owned;
};

absl::Status ParameterError(const std::string& name, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("request parameter ", Quoted(name), ": expected ", expected));
}

absl::Status ReadTimeout(const std::string& name, const InferParameter& parameter,
                         InferRequest* request) {
  int64_t microseconds = 0;
  if (parameter.has_int64_param()) {
    microseconds = parameter.int64_param();
  } else if (parameter.has_uint64_param()) {
    constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
    microseconds = static_cast<int64_t>(std::min(parameter.uint64_param(), kMost));
  } else {
    return ParameterError(name, "an integer of microseconds");
  }
  if (microseconds < 0) return ParameterError(name, "a time of 0 microseconds or more");
  // 0 is no limit; so is what no clock can count.
  constexpr int64_t kLongest = int64_t{1} << 50;
  if (microseconds > 0 && microseconds < kLongest) {
    request->deadline = request->arrival + std::chrono::microseconds(microseconds);
  }
  return absl::OkStatus();
}

// A level that the model does not have counts as its default one.
absl::Status ReadPriority(const std::string& name, const InferParameter& parameter,
                          InferRequest* request) {
  const bool is_signed = parameter.has_int64_param();
  if ((!is_signed && !parameter.has_uint64_param()) || (is_signed && parameter.int64_param() < 0)) {
    return ParameterError(name, "a level of 0 or more");
  }
  const uint64_t level =
      is_signed ? static_cast<uint64_t>(parameter.int64_param()) : parameter.uint64_param();
  request->priority =
      static_cast<uint32_t>(std::min<uint64_t>(level, std::numeric_limits<uint32_t>::max()));
  return absl::OkStatus();
}

absl::Status ReadParameters(const ModelInferRequest& message, DecodedRequest* decoded) {
  PoolPreference& pool = decoded->request->pool;
  for (const auto& [name, parameter] : message.parameters()) {
    if (name == "timeout") {
      const absl::Status read = ReadTimeout(name, parameter, decoded->request.get());
      if (!read.ok()) return read;
    } else if (name == "pool" || name == "device") {
      const std::string& kind = parameter.string_param();
      if (kind != "cpu" && kind != "gpu") {
        return ParameterError(name, "the string 'cpu' or 'gpu'");
      }
      const PoolPreference asked = kind == "cpu" ? PoolPreference::kCpu : PoolPreference::kGpu;
      if (pool != PoolPreference::kAny && pool != asked) {
        return absl::InvalidArgumentError(
            "request parameters 'device' and 'pool' name different kinds; leave one out");
      }
      pool = asked;
    } else if (name == "priority") {
      const absl::Status read = ReadPriority(name, parameter, decoded->request.get());
      if (!read.ok()) return read;
    } else if (name == "tandem_placement") {
      if (!parameter.has_bool_param()) return ParameterError(name, "a bool");
      decoded->wants_placement = parameter.bool_param();
    } else if (name == "sequence_id") {
      return absl::InvalidArgumentError(
          "request parameter 'sequence_id': sequences are not offered; leave it out");
    }
    // Others are hints of other servers, and do no harm.
  }
  // Who asks for a device wants to know.
  if (pool != PoolPreference::kAny && !message.parameters().contains("tandem_placement")) {
    decoded->wants_placement = true;
  }
  return absl::OkStatus();
}

absl::Status ReadOutputs(const ModelInferRequest& message, InferRequest* request) {
  if (static_cast<size_t>(message.outputs_size()) > kMaxRawContents) {
    return absl::InvalidArgumentError(absl::StrCat("the request names ", message.outputs_size(),
                                                   " outputs; at most ", kMaxRawContents,
                                                   " are taken"));
  }
  request->requested_outputs.reserve(static_cast<size_t>(message.outputs_size()));
  for (const auto& output : message.outputs()) {
    for (const char* unsupported : {"classification", "shared_memory_region"}) {
      if (output.parameters().contains(unsupported)) {
        return absl::InvalidArgumentError(absl::StrCat("output '", output.name(), "': parameter '",
                                                       unsupported,
                                                       "' is not offered; leave it out"));
      }
    }
    request->requested_outputs.push_back(output.name());
  }
  return absl::OkStatus();
}

// Everything but the inputs' bytes.
absl::Status ReadParts(ModelInferRequest& message, absl::Span<const Pieces> raw, OwnedBytes* owned,
                       DecodedRequest* decoded) {
  InferRequest& request = *decoded->request;
  absl::StatusOr<int64_t> version = ParseVersion(message.model_version());
  if (!version.ok()) return version.status();
  request.version = *version;
  absl::Status status = ReadParameters(message, decoded);
  if (!status.ok()) return status;
  status = ReadOutputs(message, &request);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<Tensor>> tensors = DecodeTensors(message.inputs(), raw, owned);
  if (!tensors.ok()) return tensors.status();
  request.inputs = *std::move(tensors);
  request.model = std::move(*message.mutable_model_name());
  decoded->id = std::move(*message.mutable_id());
  return absl::OkStatus();
}

absl::Status ReadMessage(ModelInferRequest& message, absl::Span<const Pieces> raw,
                         OwnedBytes* owned, DecodedRequest* decoded) {
  const absl::Status read = ReadParts(message, raw, owned, decoded);
  if (read.ok()) return read;
  return {read.code(), absl::StrCat("model ", Quoted(message.model_name()), ": ", read.message())};
}

DecodedRequest NewRequest(TimePoint arrival) {
  DecodedRequest decoded;
  decoded.request = std::make_unique<InferRequest>();
  decoded.request->arrival = arrival;
  return decoded;
}

}  // namespace

absl::StatusOr<DecodedRequest> DecodeInferRequest(const grpc::ByteBuffer& buffer,
                                                  TimePoint arrival) {
  DecodedRequest decoded = NewRequest(arrival);
  // Shared: the router lets go of it on a thread of its choice.
  auto bytes = std::make_shared<RequestBytes>();
  bytes->buffer = buffer;
  absl::StatusOr<SplitMessage> split = SplitRawContents(
      BufferPieces(bytes->buffer), ModelInferRequest::kRawInputContentsFieldNumber);
  if (!split.ok()) return split.status();
  // The small fields of a usual request fit, and then cost no allocation.
  alignas(8) char first_block[2048];
  google::protobuf::Arena arena(first_block, sizeof(first_block));
  auto& message = *google::protobuf::Arena::CreateMessage<ModelInferRequest>(&arena);
  if (!ParsePieces(split->rest, &message)) {
    return absl::InvalidArgumentError("the request is not a valid ModelInferRequest message");
  }
  const absl::Status read = ReadMessage(message, split->raw, &bytes->owned, &decoded);
  if (!read.ok()) return read;
  decoded.request->keep_alive = std::move(bytes);
  return decoded;
}

absl::StatusOr<DecodedRequest> DecodeInferRequest(ModelInferRequest message, TimePoint arrival) {
  DecodedRequest decoded = NewRequest(arrival);
  auto bytes = std::make_shared<RequestBytes>();
  bytes->message = std::move(message);
  const std::vector<Pieces> raw = BorrowStrings(bytes->message.raw_input_contents());
  const absl::Status read = ReadMessage(bytes->message, raw, &bytes->owned, &decoded);
  if (!read.ok()) return read;
  decoded.request->keep_alive = std::move(bytes);
  return decoded;
}

absl::StatusOr<int64_t> ParseVersion(absl::string_view version) {
  if (version.empty()) return -1;
  int64_t number = 0;
  // SimpleAtoi alone would take signs and blanks too.
  const bool digits = std::all_of(version.begin(), version.end(), absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi(version, &number) || number < 1) {
    return absl::InvalidArgumentError(absl::StrCat("model version ", Quoted(version),
                                                   ": expected a number of 1 or more, or nothing "
                                                   "for the latest"));
  }
  return number;
}

Pieces BufferPieces(grpc::ByteBuffer& buffer) {
  Pieces pieces;
  if (!buffer.Valid()) return pieces;
  grpc::ProtoBufferReader reader(&buffer);
  const void* data = nullptr;
  int size = 0;
  while (reader.Next(&data, &size)) {
    pieces.push_back(Bytes(static_cast<const std::byte*>(data), static_cast<size_t>(size)));
  }
  return pieces;
}

bool ParsePieces(const Pieces& pieces, google::protobuf::MessageLite* message) {
  if (pieces.empty()) return message->ParseFromArray(nullptr, 0);
  if (pieces.size() == 1) {
    return message->ParseFromArray(pieces[0].data(), static_cast<int>(pieces[0].size()));
  }
  std::string joined;
  for (const Bytes& piece : pieces) {
    joined.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return message->ParseFromString(joined);
}

}  // namespace tandem::server
