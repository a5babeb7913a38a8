// What config.pbtxt can ask for and Tandem does not do. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model_config.pb.h"
#include "server/text_proto.h"

namespace tandem::server {

// INVALID_ARGUMENT, with line and field, where the model could not answer rightly without it. What
// is only a hint is passed over, with a sentence in `notes`.
absl::Status RefuseUnoffered(const inference::ModelConfig& message, const TextProtoLines& lines,
                             std::vector<std::string>* notes);

}  // namespace tandem::server
