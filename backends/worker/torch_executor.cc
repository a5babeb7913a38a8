#include "backends/worker/torch_executor.h"

#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/runtime/jit_exception.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_errors.h"
#include "backends/worker/torch_module.h"
#include "backends/worker/torch_thread.h"
#include "backends/worker/torch_warm_up.h"

namespace tandem::worker {
namespace {

constexpr int kUntimedRuns = 2;
constexpr int kTimedRuns = 3;
constexpr std::chrono::milliseconds kLongestTiming{200};

}  // namespace

TorchExecutor::TorchExecutor(TorchDevice& device, uint32_t threads, ArgumentBinding arguments,
                             OutputBinding outputs)
    : device_(device),
      threads_(threads),
      arguments_(std::move(arguments)),
      outputs_(std::move(outputs)) {}

absl::StatusOr<std::unique_ptr<Executor>> TorchExecutor::Load(const ModelSpec& spec,
                                                              TorchDevice& device) {
  const std::string method = spec.method.empty() ? "forward" : spec.method;
  PrepareThread(spec.threads);
  absl::StatusOr<LoadedModule> loaded = LoadModule(spec.file, method, device.device());
  if (!loaded.ok()) return loaded.status();
  try {
    const c10::FunctionSchema& schema = loaded->module.get_method(method).function().getSchema();
    absl::StatusOr<ArgumentBinding> arguments =
        ArgumentBinding::Make(ReadParameters(schema), spec.inputs);
    if (!arguments.ok()) return arguments.status();
    absl::StatusOr<OutputBinding> outputs = OutputBinding::Make(spec.outputs);
    if (!outputs.ok()) return outputs.status();
    auto executor = std::unique_ptr<TorchExecutor>(
        new TorchExecutor(device, spec.threads, *std::move(arguments), *std::move(outputs)));
    executor->signature_.inputs = executor->arguments_.inputs();
    executor->signature_.outputs = spec.outputs.empty() ? DescribeReturns(schema) : spec.outputs;
    const absl::Status warm = executor->WarmUp(loaded->module, spec);
    if (!warm.ok()) return warm;
    for (uint32_t i = 0; i < spec.lanes; ++i) {
      executor->lanes_.push_back({loaded->module.deepcopy().get_method(method)});
    }
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
    Lane lane{module.deepcopy().get_method(method)};
    absl::Status tried;
    // Zeros can be what a sound model fails on, as one that inverts a matrix does.
    for (const bool vary : {false, true}) {
      if (vary) inputs.Vary();
      TrialSink sink;
      tried = RunOn(lane, 0, inputs.inputs(), sink);
      if (tried.ok()) {
        const absl::Status checked = sink.Check(spec.outputs, size, batched);
        if (!checked.ok()) return checked;
        Time(lane, size, inputs.inputs());
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

// The first runs of a size take longer, since LibTorch still works on its plan then. Slow models
// are run less often: their requests tell soon enough.
void TorchExecutor::Time(Lane& lane, int64_t rows, absl::Span<const InputTensor> inputs) {
  using std::chrono::steady_clock;
  const auto begin = steady_clock::now();
  for (int run = 0; run < kUntimedRuns + kTimedRuns; ++run) {
    TrialSink sink;
    const auto start = steady_clock::now();
    if (!RunOn(lane, 0, inputs, sink).ok()) return;
    const auto end = steady_clock::now();
    if (run >= kUntimedRuns || end - begin > kLongestTiming) {
      warm_up_runs_.push_back({rows, end - start});
    }
    if (end - begin > kLongestTiming) return;
  }
}

absl::StatusOr<c10::IValue> TorchExecutor::CallMethod(Lane& lane,
                                                      absl::Span<const InputTensor> inputs) {
  try {
    absl::StatusOr<std::vector<c10::IValue>> arguments =
        arguments_.Arguments(inputs, device_.device());
    if (!arguments.ok()) return arguments.status();
    return lane.method(*std::move(arguments));
  } catch (const torch::jit::JITException&) {
    lane.raised = true;
    return StatusOfCurrentException();
  } catch (...) {
    return StatusOfCurrentException();
  }
}

absl::Status TorchExecutor::RunOn(Lane& lane, uint32_t lane_number,
                                  absl::Span<const InputTensor> inputs, OutputSink& sink) {
  try {
    return device_.RunOnLane(lane_number, [&] {
      const c10::InferenceMode inference;
      absl::StatusOr<c10::IValue> result = CallMethod(lane, inputs);
      if (absl::IsResourceExhausted(result.status()) && device_.FreeMemory()) {
        result = CallMethod(lane, inputs);
      }
      if (!result.ok()) return result.status();
      return outputs_.Deliver(*result, sink);
    });
  } catch (...) {
    return StatusOfCurrentException();
  }
}

absl::Status TorchExecutor::Run(uint32_t lane_number, absl::Span<const InputTensor> inputs,
                                OutputSink& sink) {
  if (lane_number >= lanes_.size()) {
    return absl::InternalError(absl::StrCat("the model was not loaded for lane ", lane_number));
  }
  Lane& lane = lanes_[lane_number];
  PrepareThread(threads_);
  const absl::Status status = RunOn(lane, lane_number, inputs, sink);
  if (absl::IsInternal(status)) device_.CheckAfterFailure();
  return status;
}

}  // namespace tandem::worker
