// The models that the server knows, their versions, and which of them can answer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/model_config.h"

namespace tandem {

enum class ModelState { kLoading, kReady, kUnavailable };

// "LOADING", "READY", "UNAVAILABLE".
const char* ModelStateName(ModelState state);

// "3"; "" for 0, a model of which no version could be read.
std::string VersionText(int64_t version);

// One version, as it is now.
struct ModelStatus {
  std::string name;
  // 0: the model as a whole, of which no version could be read.
  int64_t version = 0;
  ModelState state = ModelState::kLoading;
  // Why it is not ready. Empty where it is.
  std::string reason;
  // Config with the signature that the workers told. Null where the version could not be read at
  // all.
  std::shared_ptr<const ModelVersion> model;
  // Names of the pools where it can run now.
  std::vector<std::string> pools;
  uint64_t requests = 0;
  uint64_t failures = 0;
  uint64_t queued = 0;
};

}  // namespace tandem
