#include "backends/worker/torch_executor.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_errors.h"
#include "backends/worker/torch_module.h"

namespace tandem::worker {
namespace {

void PrepareThread(uint32_t threads) {
  at::set_num_threads(static_cast<int>(threads));
  // Numbers next to zero cost a hundredfold and mean nothing to a net.
  at::globalContext().setFlushDenormal(true);
}

// Takes outputs and forgets them.
class DiscardingSink : public OutputSink {
 public:
  absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> outputs) override {
    std::vector<std::byte*> places;
    for (const OutputTensor& output : outputs) {
      buffers_.emplace_back(output.bytes);
      places.push_back(buffers_.back().data());
    }
    return places;
  }

 private:
  std::vector<std::vector<std::byte>> buffers_;
};

// Zeros for each input, or nothing where the signature leaves a size open.
class ZeroInputs {
 public:
  ZeroInputs(const std::vector<TensorSpec>& specs, int64_t batch, bool batched) {
    for (const TensorSpec& spec : specs) {
      InputTensor input{.type = spec.type, .shape = {}, .data = nullptr, .bytes = 0};
      if (batched) input.shape.push_back(batch);
      input.shape.insert(input.shape.end(), spec.dims.begin(), spec.dims.end());
      const absl::StatusOr<size_t> bytes = ByteSize(spec.type, input.shape);
      const bool open = spec.any_shape || ElementSize(spec.type) == 0;
      if (open || !bytes.ok() || *bytes > kMostBytes) {
        known_ = false;
        return;
      }
      buffers_.emplace_back(*bytes);
      input.data = buffers_.back().data();
      input.bytes = *bytes;
      inputs_.push_back(std::move(input));
    }
  }

  bool known() const { return known_; }
  absl::Span<const InputTensor> inputs() const { return inputs_; }

 private:
  static constexpr size_t kMostBytes = size_t{1} << 28;

  bool known_ = true;
  std::vector<std::vector<std::byte>> buffers_;
  std::vector<InputTensor> inputs_;
};

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
    executor->WarmUp(loaded->module, spec);
    for (uint32_t i = 0; i < spec.lanes; ++i) {
      executor->lanes_.push_back({loaded->module.deepcopy().get_method(method)});
    }
    return executor;
  } catch (...) {
    return StatusOfCurrentException();
  }
}

void TorchExecutor::WarmUp(const torch::jit::Module& module, const ModelSpec& spec) {
  const std::string method = spec.method.empty() ? "forward" : spec.method;
  const bool batched = spec.max_batch_size > 0;
  std::vector<int64_t> sizes = {1};
  if (spec.max_batch_size > 1) sizes.push_back(spec.max_batch_size);
  for (const int64_t size : sizes) {
    const ZeroInputs zeros(signature_.inputs, size, batched);
    if (!zeros.known()) return;
    Lane lane{module.deepcopy().get_method(method), /*thread_ready=*/true};
    DiscardingSink sink;
    // A model may refuse zeros; that says nothing about real inputs.
    (void)RunOn(lane, 0, zeros.inputs(), sink);
  }
}

absl::StatusOr<c10::IValue> TorchExecutor::CallMethod(Lane& lane,
                                                      absl::Span<const InputTensor> inputs) {
  try {
    absl::StatusOr<std::vector<c10::IValue>> arguments =
        arguments_.Arguments(inputs, device_.device());
    if (!arguments.ok()) return arguments.status();
    return lane.method(*std::move(arguments));
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
  if (!std::exchange(lane.thread_ready, true)) PrepareThread(threads_);
  const absl::Status status = RunOn(lane, lane_number, inputs, sink);
  if (absl::IsInternal(status)) device_.CheckAfterFailure();
  return status;
}

}  // namespace tandem::worker
