// What config.pbtxt says of how a model uses its device: `optimization { cuda { … } }` in Triton's
// words, and the parameters `cuda_graphs` and `autocast`. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/model_config.h"
#include "model_config.pb.h"
#include "server/text_proto.h"

namespace tandem::server {

// After batching and parameters have been read. Triton's words become the parameter `cuda_graphs`,
// a list of batch sizes, which is what a worker knows. INVALID_ARGUMENT, with the line, for a
// precision that does not exist, sizes that cannot be, and for both ways to say one thing. Notes
// what is passed over.
absl::Status ReadDeviceConfig(const inference::ModelConfig& message, const TextProtoLines& lines,
                              ModelConfig* config, std::vector<std::string>* notes);

}  // namespace tandem::server
