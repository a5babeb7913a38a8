// The parameter `fallback` of config.pbtxt: whether a model of GPU pools may also run on CPU pools.
// Pure, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "core/model_config.h"
#include "model_config.pb.h"
#include "server/model_config_file.h"
#include "server/text_proto.h"

namespace tandem::server {

// After instance groups and parameters have been read. `never`: not at all. `on_fault`: while no
// GPU pool can run it. `on_load`: also when it is answered sooner there. INVALID_ARGUMENT: another
// word, or a model that is for no GPU pool.
absl::Status ReadFallback(const inference::ModelConfig& message, const TextProtoLines& lines,
                          PoolKinds pools, ModelConfig* config);

}  // namespace tandem::server
