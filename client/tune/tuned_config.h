// The text of a config.pbtxt with another setting in it. Comments, order and all else stay as they
// are. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace tandem::client {

// How a model is run on a CPU pool.
struct TuneSetting {
  // That may run it at the same time.
  uint32_t lanes = 1;
  // Of each run.
  uint32_t threads = 1;
  // 0: the model has no batch dimension.
  uint32_t max_batch = 0;

  friend bool operator==(const TuneSetting&, const TuneSetting&) = default;
};

struct BatchSizes {
  // The configuration's max_batch_size; 0: the model has no batch dimension.
  uint32_t most = 0;
  // Its largest preferred_batch_size, below which max_batch_size cannot be.
  uint32_t least = 0;
};

// Of a model's configuration. INVALID_ARGUMENT where the text is no such configuration.
absl::StatusOr<BatchSizes> BatchSizesOf(const std::string& config);

// Sets max_batch_size, the count of the instance group for CPUs, and the parameter
// intra_op_thread_count@cpu; more than one row to a batch turns dynamic_batching on.
// INVALID_ARGUMENT, with what to do, where the model does not run on CPUs, or by groups that a
// program had better not choose among.
absl::StatusOr<std::string> WithSetting(const std::string& config, const TuneSetting& setting);

// What makes `after` of `before`: their lines, each behind "  ", "- " or "+ ", as far as they are
// near a change.
std::string Difference(const std::string& before, const std::string& after);

}  // namespace tandem::client
