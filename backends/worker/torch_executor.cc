#include "backends/worker/torch_executor.h"

#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/runtime/jit_exception.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_autocast.h"
#include "backends/worker/torch_errors.h"
#include "backends/worker/torch_module.h"
#include "backends/worker/torch_thread.h"

namespace tandem::worker {
TorchExecutor::TorchExecutor(TorchDevice& device, const ModelSpec& spec,
                             std::optional<c10::ScalarType> lowered, ArgumentBinding arguments,
                             OutputBinding outputs)
    : device_(device),
      threads_(spec.threads),
      lowered_(lowered),
      arguments_(std::move(arguments)),
      outputs_(std::move(outputs)) {}

TorchExecutor::~TorchExecutor() {
  lanes_.clear();
  device_.FreeMemory();
}

absl::StatusOr<std::unique_ptr<Executor>> TorchExecutor::Load(const ModelSpec& spec,
                                                              TorchDevice& device) {
  const std::string method = spec.method.empty() ? "forward" : spec.method;
  PrepareThread(spec.threads);
  const absl::StatusOr<std::optional<c10::ScalarType>> lowered = AutocastType(spec.parameters);
  if (!lowered.ok()) return lowered.status();
  const bool optimise = device.device().is_cpu() && !lowered->has_value();
  absl::StatusOr<LoadedModule> loaded = LoadModule(spec.file, method, device.device(), optimise);
  if (!loaded.ok()) return loaded.status();
  try {
    const c10::FunctionSchema& schema = loaded->module.get_method(method).function().getSchema();
    absl::StatusOr<ArgumentBinding> arguments =
        ArgumentBinding::Make(ReadParameters(schema), spec.inputs);
    if (!arguments.ok()) return arguments.status();
    absl::StatusOr<OutputBinding> outputs = OutputBinding::Make(spec.outputs, *lowered);
    if (!outputs.ok()) return outputs.status();
    auto executor = std::unique_ptr<TorchExecutor>(
        new TorchExecutor(device, spec, *lowered, *std::move(arguments), *std::move(outputs)));
    executor->signature_.inputs = executor->arguments_.inputs();
    executor->signature_.outputs = spec.outputs.empty() ? DescribeReturns(schema) : spec.outputs;
    const absl::Status warm = executor->WarmUp(loaded->module, spec);
    if (!warm.ok()) return warm;
    for (uint32_t i = 0; i < spec.lanes; ++i) {
      executor->lanes_.push_back({loaded->module.deepcopy().get_method(method), false, {}});
    }
    executor->RecordRuns(loaded->module, spec);
    return executor;
  } catch (...) {
    return StatusOfCurrentException();
  }
}

absl::Status TorchExecutor::WarmUp(const torch::jit::Module& module, const ModelSpec& spec) {
  const std::string method = spec.method.empty() ? "forward" : spec.method;
  const bool batched = spec.max_batch_size > 0;
  std::vector<int64_t> sizes = {1};
  if (spec.max_batch_size > 1) sizes.push_back(spec.max_batch_size);
  for (const int64_t size : sizes) {
    MadeUpInputs inputs(signature_.inputs, size, batched);
    if (!inputs.known()) break;
    Lane lane{module.deepcopy().get_method(method), false, {}};
    absl::Status tried;
    // Zeros can be what a sound model fails on, as one that inverts a matrix does.
    for (const bool vary : {false, true}) {
      if (vary) inputs.Vary();
      TrialSink sink;
      const auto start = std::chrono::steady_clock::now();
      // Not on a lane's stream: other models run there.
      tried = RunOn(lane, spec.lanes, inputs.inputs(), sink);
      const auto took = std::chrono::steady_clock::now() - start;
      if (tried.ok()) {
        const absl::Status checked = sink.Check(spec.outputs, size, batched);
        if (!checked.ok()) return checked;
        warm_up_.Add(size, took, [&](OutputSink& outputs) {
          return RunOn(lane, spec.lanes, inputs.inputs(), outputs);
        });
        break;
      }
    }
    // What the model itself raises is its word on these numbers, and says nothing about others; and
    // a scalar can be one that makes no sense, such as a rate of 0.
    const bool contradicts = absl::IsInternal(tried) && !lane.raised && !spec.inputs.empty() &&
                             arguments_.takes_tensors_alone();
    if (contradicts) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the model fails on inputs of the configured types and shapes: ", tried.message()));
    }
  }
  return absl::OkStatus();
}

void TorchExecutor::RecordRuns(const torch::jit::Module& module, const ModelSpec& spec) {
  const std::vector<int64_t> sizes = GraphSizes(spec.parameters);
  if (sizes.empty() || !device_.records()) return;
  absl::Status recorded;
  int64_t rows = 0;
  if (KeepsState(module)) {
    recorded = absl::FailedPreconditionError("it keeps a state, or could not be frozen");
  }
  for (uint32_t number = 0; number < lanes_.size() && recorded.ok(); ++number) {
    Lane& lane = lanes_[number];
    const TorchGraphs::Method method = [this, &lane](std::vector<c10::IValue> arguments) {
      return Call(lane, std::move(arguments));
    };
    for (auto size = sizes.begin(); size != sizes.end() && recorded.ok(); ++size) {
      rows = *size;
      recorded =
          lane.graphs.Record(device_, number, rows, spec.max_batch_size > 0, arguments_, method);
    }
  }
  if (recorded.ok()) return;
  // All or none: which lane a batch goes to must not decide how long it takes.
  for (Lane& lane : lanes_) lane.graphs = TorchGraphs();
  notes_.push_back(absl::StrCat(
      "model \"", spec.name, "\" runs without CUDA graphs, as if none were configured: ",
      rows == 0 ? "" : absl::StrCat("batch size ", rows, ": "), recorded.message()));
}

c10::IValue TorchExecutor::Call(Lane& lane, std::vector<c10::IValue> arguments) const {
  const c10::InferenceMode inference;
  const AutocastScope cast(device_.device().type(), lowered_);
  return lane.method(std::move(arguments));
}

const c10::IValue* TorchExecutor::ReplayMethod(Lane& lane, absl::Span<const InputTensor> inputs) {
  if (lane.graphs.empty()) return nullptr;
  const absl::StatusOr<std::vector<c10::IValue>> arguments =
      arguments_.Arguments(inputs, c10::kCPU);
  // What is wrong with them is told by the plain run.
  return arguments.ok() ? lane.graphs.Replay(*arguments) : nullptr;
}

absl::StatusOr<c10::IValue> TorchExecutor::CallMethod(Lane& lane,
                                                      absl::Span<const InputTensor> inputs) {
  try {
    absl::StatusOr<std::vector<c10::IValue>> arguments =
        arguments_.Arguments(inputs, device_.device());
    if (!arguments.ok()) return arguments.status();
    return Call(lane, *std::move(arguments));
  } catch (const torch::jit::JITException&) {
    lane.raised = true;
    return StatusOfCurrentException();
  } catch (...) {
    return StatusOfCurrentException();
  }
}

absl::Status TorchExecutor::RunOn(Lane& lane, uint32_t lane_number,
                                  absl::Span<const InputTensor> inputs, OutputSink& sink) {
  absl::Status status;
  try {
    status = device_.RunOnLane(lane_number, [&] {
      const c10::InferenceMode inference;
      if (const c10::IValue* replayed = ReplayMethod(lane, inputs)) {
        return outputs_.Deliver(*replayed, sink);
      }
      absl::StatusOr<c10::IValue> result = CallMethod(lane, inputs);
      if (absl::IsResourceExhausted(result.status()) && device_.FreeMemory()) {
        result = CallMethod(lane, inputs);
      }
      if (!result.ok()) return result.status();
      return outputs_.Deliver(*result, sink);
    });
  } catch (...) {
    status = StatusOfCurrentException();
  }
  if (absl::IsInternal(status)) device_.CheckAfterFailure(lane_number);
  return status;
}

absl::Status TorchExecutor::Run(uint32_t lane_number, absl::Span<const InputTensor> inputs,
                                OutputSink& sink) {
  if (lane_number >= lanes_.size()) {
    return absl::InternalError(absl::StrCat("the model was not loaded for lane ", lane_number));
  }
  PrepareThread(threads_);
  return RunOn(lanes_[lane_number], lane_number, inputs, sink);
}

}  // namespace tandem::worker
