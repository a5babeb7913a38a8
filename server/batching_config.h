// Reads `dynamic_batching` of a config.pbtxt: batches, priority levels and the limits of the
// queues. Pure functions, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "core/model_config.h"
#include "model_config.pb.h"
#include "server/text_proto.h"

namespace tandem::server {

// `config` has its max_batch_size already. INVALID_ARGUMENT, with line and field, for what cannot
// be, and for fields that contradict each other.
absl::Status ReadBatching(const inference::ModelConfig& message, const TextProtoLines& lines,
                          ModelConfig* config);

// The same the other way round: what `config` says, in Triton's fields.
void DescribeBatching(const ModelConfig& config, inference::ModelDynamicBatching* message);

}  // namespace tandem::server
