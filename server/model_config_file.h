// Reads a model's config.pbtxt, in Triton's field names, into what Tandem acts on. Pure functions,
// thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model_config.h"
#include "server/pool_spec.h"

namespace tandem::server {

// Which of the version folders are served.
struct VersionPolicy {
  enum class Kind { kLatest, kAll, kSpecific } kind = Kind::kLatest;
  // kLatest: so many of the highest.
  uint32_t count = 1;
  // kSpecific.
  std::vector<int64_t> versions;
};

struct ModelConfigFile {
  ModelConfig config;
  VersionPolicy versions;
  // Within the version's folder.
  std::string model_file = "model.pt";
  // What the file asks for and Tandem passes over, one sentence each.
  std::vector<std::string> notes;
};

// `folder` is the name of the model's folder, and the model's. INVALID_ARGUMENT,
// "config.pbtxt:LINE: …" with the field and what is wrong with it; also for what Tandem cannot do,
// such as ensembles.
absl::StatusOr<ModelConfigFile> ParseModelConfig(absl::string_view text, const std::string& folder,
                                                 PoolKinds pools);

// What a model without config.pbtxt gets.
ModelConfigFile DefaultModelConfig(const std::string& folder, PoolKinds pools);

}  // namespace tandem::server
