// What a model is tried with when it is loaded: inputs made up from its configuration, and a look
// at what comes out. Not thread-safe; one run each.
#pragma once

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

// Times some runs of `rows` rows; the first ones, which take longer, are not told. Slow models are
// run less often: their requests tell soon enough. Ends early where a run fails.
std::vector<TimedRun> TimeRuns(int64_t rows, absl::FunctionRef<absl::Status(OutputSink&)> run);

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
