// An executor that runs a batch in parts where the device's memory does not hold it as a whole.
//
// The executor behind it has given back what it had cached and tried again before it says
// RESOURCE_EXHAUSTED. Then the batch's halves run one after the other, and their halves, down to
// single rows; the outputs are put together. Thread-safe as the executor behind it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/worker/executor.h"

namespace tandem::worker {

class HalvingExecutor : public Executor {
 public:
  // For a model whose tensors have the batch's rows as their first dimension, and whose runs keep
  // their inputs.
  explicit HalvingExecutor(std::unique_ptr<Executor> whole) : whole_(std::move(whole)) {}

  const Signature& signature() const override { return whole_->signature(); }
  std::vector<TimedRun> warm_up_runs() const override { return whole_->warm_up_runs(); }
  std::vector<std::string> notes() const override { return whole_->notes(); }
  bool keeps_inputs() const override { return whole_->keeps_inputs(); }

  // RESOURCE_EXHAUSTED where a single row is too much, or where the batch cannot be parted: it has
  // strings, or a tensor whose first dimension is not the rows.
  absl::Status Run(uint32_t lane, absl::Span<const InputTensor> inputs, OutputSink& sink) override;

 private:
  std::unique_ptr<Executor> whole_;
};

}  // namespace tandem::worker
