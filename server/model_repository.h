// Finds the models of a repository: DIR/NAME/config.pbtxt and DIR/NAME/VERSION/model.pt. Reads no
// model file. Values; free functions, thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model_config.h"
#include "server/model_config_file.h"

namespace tandem::server {

// A model or a version that cannot be served.
struct UnusableModel {
  // Of the folder; escaped where it is none for a model.
  std::string name;
  // 0: the model as a whole.
  int64_t version = 0;
  // A sentence for its users, without paths outside of the repository.
  std::string reason;
};

struct ExcludedVersion {
  std::string name;
  int64_t version = 0;
};

struct ModelRepository {
  // By name, then version. Handles count from 1.
  std::vector<std::shared_ptr<const ModelVersion>> versions;
  std::vector<UnusableModel> unusable;
  // Those that are there and that their model's version_policy does not name.
  std::vector<ExcludedVersion> excluded;
  // What was passed over, one line each, for the log.
  std::vector<std::string> notes;
};

// NOT_FOUND: no such folder. UNAVAILABLE: it cannot be listed. Whatever is wrong with one model
// makes that model unusable alone.
absl::StatusOr<ModelRepository> ScanModelRepository(const std::string& folder, PoolKinds pools);

}  // namespace tandem::server
