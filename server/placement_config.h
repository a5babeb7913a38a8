// Reads `parameters { key: "placement" }` of a config.pbtxt. Pure functions, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "core/model_config.h"
#include "model_config.pb.h"
#include "server/text_proto.h"

namespace tandem::server {

// `config` knows its instance groups already, which the placement narrows. INVALID_ARGUMENT, with
// line and field, for a placement that does not exist or that the instance groups do not allow,
// whatever pools the server has. One that its pools do not allow is told when the model is added to
// the router.
absl::Status ReadPlacement(const inference::ModelConfig& message, const TextProtoLines& lines,
                           ModelConfig* config);

}  // namespace tandem::server
