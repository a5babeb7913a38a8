// Runs one model that AOTInductor compiled: a package for any batch size, packages for one size
// each, or both.
//
// Packages keep no state between calls, so lanes share them. Run is called by several threads, one
// for each lane. The device outlives the executor.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/worker/compiled_plan.h"
#include "backends/worker/executor.h"
#include "backends/worker/torch_device.h"
#include "backends/worker/torch_outputs.h"
#include "backends/worker/torch_package.h"
#include "backends/worker/torch_warm_up.h"

namespace tandem::worker {

class TorchCompiledExecutor : public Executor {
 public:
  // Loads, warms up. INVALID_ARGUMENT where the files do not fit the spec, FAILED_PRECONDITION
  // where they do not fit this process, each with the reason. Throws nothing.
  static absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec& spec, TorchDevice& device);

  // Gives the device's memory back.
  ~TorchCompiledExecutor() override;

  const Signature& signature() const override { return signature_; }
  std::vector<TimedRun> warm_up_runs() const override { return warm_up_.runs(); }
  // On a CPU models work on the inputs where they lie, some of them in place.
  bool keeps_inputs() const override { return !device_.device().is_cpu(); }
  absl::Status Run(uint32_t lane, absl::Span<const InputTensor> inputs, OutputSink& sink) override;

 private:
  TorchCompiledExecutor(TorchDevice& device, const ModelSpec& spec, OutputBinding outputs);

  absl::Status LoadPackages(const ModelSpec& spec);
  // Runs each file, and times it. INVALID_ARGUMENT where it does not take what is configured, or
  // gives something else.
  absl::Status WarmUp();
  absl::Status WarmUp(int64_t rows);
  // The batch sizes to try: those of the files, and for the file for any size the smallest and the
  // largest that it gets.
  std::vector<int64_t> SizesToTry() const;
  // From the times of the runs that there were.
  void MakePlan();
  // The batch's tensors, in the packages' order.
  absl::StatusOr<std::vector<at::Tensor>> Arguments(absl::Span<const InputTensor> inputs) const;
  // Throws nothing.
  absl::Status RunOnDevice(uint32_t lane, absl::Span<const InputTensor> inputs, OutputSink& sink);
  // Throws what LibTorch throws.
  absl::Status RunPackages(absl::Span<const InputTensor> inputs, OutputSink& sink);
  // The results for the whole batch. Throws nothing.
  absl::StatusOr<std::vector<at::Tensor>> CallPackages(absl::Span<const InputTensor> inputs) const;
  // Throws what LibTorch throws.
  absl::StatusOr<std::vector<at::Tensor>> CallParts(const std::vector<at::Tensor>& arguments,
                                                    const std::vector<CompiledPart>& parts) const;

  TorchDevice& device_;
  const uint32_t threads_;
  const uint32_t max_batch_size_;
  Signature signature_;
  OutputBinding outputs_;
  // The index among the inputs of each argument.
  std::vector<size_t> input_of_argument_;
  // By the batch size that they were compiled for; 0: any.
  std::map<uint32_t, std::unique_ptr<TorchPackage>> packages_;
  std::vector<uint32_t> fixed_sizes_;
  // Of a model with a batch dimension.
  std::optional<CompiledPlan> plan_;
  WarmUpTimes warm_up_;
  // By lane: its thread has LibTorch's settings.
  uint32_t lanes_;
};

}  // namespace tandem::worker
