// What the server tells of a model, in the protocol's messages. Pure functions, thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/model_config.h"
#include "inference.pb.h"
#include "router/catalog.h"

namespace tandem::server {

// `version` is the one described, `all` every version of the server; those of the same name that
// are ready are listed. UNAVAILABLE, with the reason, where it is not ready and nothing is known of
// its inputs yet.
absl::StatusOr<inference::ModelMetadataResponse> DescribeModel(const ModelStatus& version,
                                                               absl::Span<const ModelStatus> all);

// The configuration as Tandem acts on it, with the signature that the workers told.
inference::ModelConfig DescribeConfig(const ModelConfig& config);

inference::ModelStatistics DescribeStatistics(const ModelStatus& version);

}  // namespace tandem::server
