// Makes ModelInferResponse messages out of the router's answers. Pure functions, thread-safe.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <string>

#include "absl/types/span.h"
#include "core/infer_request.h"
#include "inference.pb.h"

namespace tandem::server {

using OutputHeaders =
    google::protobuf::RepeatedPtrField<inference::ModelInferResponse::InferOutputTensor>;

using Parameters = google::protobuf::Map<std::string, inference::InferParameter>;

// Where, why there and how long it ran: for those who asked, and of a fallback in any case.
void AddPlacement(const Placement& placement, bool asked, Parameters* parameters);

// For the wire. Large outputs are not copied: the buffer keeps the response's keep_alive.
grpc::ByteBuffer EncodeInferResponse(const InferResponse& response, std::string id,
                                     bool wants_placement);

// As a message that owns a copy of the outputs' bytes.
inference::ModelInferResponse MakeInferResponse(const InferResponse& response, std::string id,
                                                bool wants_placement);

// Names, types and shapes of the tensors.
void AddOutputHeaders(absl::Span<const Tensor> outputs, OutputHeaders* headers);

}  // namespace tandem::server
