// Runs one TorchScript model.
//
// Each lane has its own copy of the module, so that a model that keeps state between calls keeps it
// for each lane; what never changes (a frozen module's weights) is shared. Run is called by several
// threads, one for each lane. The device outlives the executor.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/worker/executor.h"
#include "backends/worker/torch_device.h"
#include "backends/worker/torch_graphs.h"
#include "backends/worker/torch_outputs.h"
#include "backends/worker/torch_signature.h"
#include "backends/worker/torch_warm_up.h"

namespace tandem::worker {

class TorchExecutor : public Executor {
 public:
  // Loads, warms up. INVALID_ARGUMENT where the file or the method does not fit the spec. Throws
  // nothing.
  static absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec& spec, TorchDevice& device);
  // Gives the device's memory back.
  ~TorchExecutor() override;

  const Signature& signature() const override { return signature_; }
  std::vector<TimedRun> warm_up_runs() const override { return warm_up_.runs(); }
  // On a CPU models work on the inputs where they lie, some of them in place.
  bool keeps_inputs() const override { return !device_.device().is_cpu(); }
  std::vector<std::string> notes() const override { return notes_; }
  absl::Status Run(uint32_t lane, absl::Span<const InputTensor> inputs, OutputSink& sink) override;

 private:
  struct Lane {
    torch::jit::Method method;
    // The model itself has raised an exception: a `raise` or an `assert` in its source.
    bool raised = false;
    TorchGraphs graphs;
  };

  TorchExecutor(TorchDevice& device, const ModelSpec& spec, std::optional<c10::ScalarType> lowered,
                ArgumentBinding arguments, OutputBinding outputs);

  // Throws what LibTorch throws.
  c10::IValue Call(Lane& lane, std::vector<c10::IValue> arguments) const;
  // Null: no run was recorded for such inputs. Throws what LibTorch throws.
  const c10::IValue* ReplayMethod(Lane& lane, absl::Span<const InputTensor> inputs);
  // Throws nothing.
  absl::StatusOr<c10::IValue> CallMethod(Lane& lane, absl::Span<const InputTensor> inputs);
  absl::Status RunOn(Lane& lane, uint32_t lane_number, absl::Span<const InputTensor> inputs,
                     OutputSink& sink);
  // Runs the sizes that can be told from the signature on a copy that is thrown away.
  // INVALID_ARGUMENT where the model cannot run what the configuration says, or answers otherwise.
  absl::Status WarmUp(const torch::jit::Module& module, const ModelSpec& spec);

  // Has the device record the runs that the model's configuration asks for, on each lane. Where
  // that cannot be, the model runs as it is, and a note tells why.
  void RecordRuns(const torch::jit::Module& module, const ModelSpec& spec);

  TorchDevice& device_;
  uint32_t threads_;
  // What autocast runs the model in.
  std::optional<c10::ScalarType> lowered_;
  ArgumentBinding arguments_;
  OutputBinding outputs_;
  Signature signature_;
  std::vector<Lane> lanes_;
  WarmUpTimes warm_up_;
  std::vector<std::string> notes_;
};

}  // namespace tandem::worker
