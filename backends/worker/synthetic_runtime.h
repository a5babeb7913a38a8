// The platform "synthetic": models that echo their inputs after a modelled time, or misbehave as
// they are told. For tests and load trials; needs no LibTorch.
#pragma once

#include <memory>

#include "backends/worker/executor.h"

namespace tandem::worker {

// Output i is input i. Without a configuration there is one input, INPUT__0, of any type and shape.
// Thread-safe.
class SyntheticRuntime : public Runtime {
 public:
  absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec& model) override;
};

}  // namespace tandem::worker
