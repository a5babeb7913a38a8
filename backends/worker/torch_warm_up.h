// What a model is tried with when it is loaded: inputs made up from its configuration, and a look
// at what comes out. Not thread-safe; one run each.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "backends/worker/executor.h"

namespace tandem::worker {

// An input for each spec: zeros at first.
class MadeUpInputs {
 public:
  // `batch` rows where the model is batched; without effect where it is not.
  MadeUpInputs(const std::vector<TensorSpec>& specs, int64_t batch, bool batched);

  // False where a type or a size is left open: there is nothing to try then.
  bool known() const { return known_; }
  // Numbers between 0 and 1 at random, and ones for integers.
  void Vary();
  absl::Span<const InputTensor> inputs() const { return inputs_; }

 private:
  bool known_ = true;
  std::vector<std::vector<std::byte>> buffers_;
  std::vector<InputTensor> inputs_;
};

// How long a model's runs take, measured while it is loaded, in a fraction of a second for each
// size: whoever starts the server waits for it. Slow models are run less often; their requests tell
// soon enough.
class WarmUpTimes {
 public:
  // Times some runs of `rows` rows. `first`: how long a run of that size took that went well just
  // before. Where it was slow, and tells as much, it stands for them. Ends early where a run fails.
  void Add(int64_t rows, std::chrono::nanoseconds first,
           absl::FunctionRef<absl::Status(OutputSink&)> run);
  const std::vector<TimedRun>& runs() const { return runs_; }

 private:
  bool IsTelling(int64_t rows, std::chrono::nanoseconds first) const;

  std::vector<TimedRun> runs_;
};

// Takes outputs and keeps what was announced of them.
class TrialSink : public OutputSink {
 public:
  absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> outputs) override;

  // INVALID_ARGUMENT where an output has another type or shape than is configured.
  absl::Status Check(const std::vector<TensorSpec>& configured, int64_t batch, bool batched) const;

 private:
  std::vector<OutputTensor> outputs_;
  std::vector<std::vector<std::byte>> buffers_;
};

}  // namespace tandem::worker
