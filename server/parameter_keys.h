// The keys of config.pbtxt's `parameters` that Tandem acts on. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "model_config.pb.h"
#include "server/text_proto.h"

namespace tandem::server {

// A key's own name, without the kind of pool that it may end with: "autocast" of "autocast@gpu".
absl::string_view BaseName(absl::string_view key);

// The name by which Tandem knows the key: Triton writes INTRA_OP_THREAD_COUNT.
std::string OwnKey(const std::string& key);

// INVALID_ARGUMENT, with its line, for a key that is known and ends with what is no kind of pool,
// or that cannot differ by the kind of pool; and where a key stands beside Triton's name for it.
// Keys that nobody acts on, as those of another platform, are noted.
absl::Status CheckParameterKeys(const inference::ModelConfig& message, const TextProtoLines& lines,
                                const std::string& platform, std::vector<std::string>* notes);

}  // namespace tandem::server
