// Keeps what the router has learnt of the models' times over a restart: the file of --state-file.
// Free functions, thread-safe for different files.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "router/catalog.h"

namespace tandem::server {

struct SavedCost {
  std::string model;
  int64_t version = 0;
  // Without its errors.
  PoolCost cost;
};

// INVALID_ARGUMENT, one line, where WriteCosts could not write the file; leaves nothing behind.
absl::Status CheckCostFile(const std::string& path);

// Empty where there is no such file. INVALID_ARGUMENT: it is not such a file. UNAVAILABLE: it
// cannot be read.
absl::StatusOr<std::vector<SavedCost>> ReadCosts(const std::string& path);

// Replaces the file as a whole, so that who reads it never sees a part. UNAVAILABLE: it cannot be
// written.
absl::Status WriteCosts(const std::string& path, absl::Span<const ModelStatus> models);

}  // namespace tandem::server
