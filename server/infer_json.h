// Inference requests and answers as the protocol's JSON. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "core/infer_request.h"
#include "inference.pb.h"

namespace tandem::server {

// A request with typed contents. INVALID_ARGUMENT where the text is no such JSON.
absl::StatusOr<inference::ModelInferRequest> ParseInferJson(const std::string& body);

// The response's status where it is not OK. INVALID_ARGUMENT for outputs that JSON has no form for
// (FP16, BF16). Placement as AddPlacement.
absl::StatusOr<nlohmann::json> WriteInferJson(const InferResponse& response, const std::string& id,
                                              bool wants_placement);

// About the most that this takes, as JSON and as text.
uint64_t MemoryOfInferJson(const InferResponse& response);

}  // namespace tandem::server
