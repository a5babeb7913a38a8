#include "backends/worker/torch_compiled_executor.h"

#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/compiled_sizes.h"
#include "backends/worker/torch_errors.h"
#include "backends/worker/torch_signature.h"
#include "backends/worker/torch_thread.h"
#include "backends/worker/torch_values.h"

namespace tandem::worker {
namespace {

// Inputs named NAME__INDEX stand at their index; others in the order of the configuration.
absl::StatusOr<std::vector<size_t>> OrderOf(const std::vector<TensorSpec>& inputs) {
  std::vector<size_t> order(inputs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<size_t> by_index(inputs.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::optional<size_t> index = ConventionalIndex(inputs[i].name);
    if (!index.has_value()) return order;
    if (*index >= inputs.size() || by_index[*index] != inputs.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the configured input \"", inputs[i].name,
                       "\" names an index that another one has, or that there is "
                       "no input for"));
    }
    by_index[*index] = i;
  }
  return by_index;
}

// Rows behind the batch's own, up to `size`, are zeros.
at::Tensor Padded(const at::Tensor& tensor, int64_t size) {
  std::vector<int64_t> sizes = tensor.sizes().vec();
  const int64_t rows = std::exchange(sizes[0], size);
  at::Tensor padded = at::zeros(sizes, tensor.options());
  padded.narrow(0, 0, rows).copy_(tensor);
  return padded;
}

}  // namespace

TorchCompiledExecutor::TorchCompiledExecutor(TorchDevice& device, const ModelSpec& spec,
                                             OutputBinding outputs)
    : device_(device),
      threads_(spec.threads),
      max_batch_size_(spec.max_batch_size),
      signature_{spec.inputs, spec.outputs},
      outputs_(std::move(outputs)),
      lanes_(spec.lanes) {}

TorchCompiledExecutor::~TorchCompiledExecutor() {
  packages_.clear();
  device_.FreeMemory();
}

absl::StatusOr<std::unique_ptr<Executor>> TorchCompiledExecutor::Load(const ModelSpec& spec,
                                                                      TorchDevice& device) {
  if (spec.inputs.empty() || spec.outputs.empty()) {
    return absl::InvalidArgumentError(
        "a compiled model does not tell its inputs and outputs; name them in its config.pbtxt");
  }
  absl::StatusOr<OutputBinding> outputs = OutputBinding::Make(spec.outputs);
  if (!outputs.ok()) return outputs.status();
  absl::StatusOr<std::vector<size_t>> order = OrderOf(spec.inputs);
  if (!order.ok()) return order.status();
  PrepareThread(spec.threads);
  auto executor = std::unique_ptr<TorchCompiledExecutor>(
      new TorchCompiledExecutor(device, spec, *std::move(outputs)));
  executor->input_of_argument_ = *std::move(order);
  if (const absl::Status loaded = executor->LoadPackages(spec); !loaded.ok()) return loaded;
  if (const absl::Status warm = executor->WarmUp(); !warm.ok()) return warm;
  return executor;
}

absl::Status TorchCompiledExecutor::LoadPackages(const ModelSpec& spec) {
  std::map<uint32_t, int> files = spec.files_by_batch_size;
  if (spec.file >= 0) files[0] = spec.file;
  for (const auto& [size, file] : files) {
    absl::StatusOr<std::unique_ptr<TorchPackage>> package =
        TorchPackage::Load(file, device_, spec.lanes);
    if (!package.ok()) return package.status();
    if ((*package)->input_count() != spec.inputs.size()) {
      return absl::InvalidArgumentError(absl::StrCat("the compiled model takes ",
                                                     (*package)->input_count(), " tensors, but ",
                                                     spec.inputs.size(), " inputs are configured"));
    }
    packages_[size] = *std::move(package);
    if (size > 0) fixed_sizes_.push_back(size);
  }
  const int64_t most = std::max<int64_t>(max_batch_size_, 1);
  if (!CompiledSizeFor(most, fixed_sizes_, packages_.count(0) > 0).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_batch_size is ", most,
                     ", but no file was compiled for so many rows: add model.pt2 or model.b", most,
                     ".pt2, or lower it"));
  }
  return absl::OkStatus();
}

std::vector<int64_t> TorchCompiledExecutor::SizesToTry() const {
  if (max_batch_size_ == 0) return {1};
  std::vector<int64_t> sizes(fixed_sizes_.begin(), fixed_sizes_.end());
  const auto is_fixed = [this](int64_t size) {
    return std::find(fixed_sizes_.begin(), fixed_sizes_.end(), size) != fixed_sizes_.end();
  };
  if (packages_.count(0) == 0) return sizes;
  int64_t smallest = 1;
  int64_t largest = max_batch_size_;
  while (smallest <= largest && is_fixed(smallest)) ++smallest;
  while (largest > smallest && is_fixed(largest)) --largest;
  if (smallest <= largest) sizes.push_back(smallest);
  if (smallest < largest) sizes.push_back(largest);
  return sizes;
}

absl::Status TorchCompiledExecutor::WarmUp() {
  for (const int64_t rows : SizesToTry()) {
    if (absl::Status warm = WarmUp(rows); !warm.ok()) return warm;
  }
  return absl::OkStatus();
}

absl::Status TorchCompiledExecutor::WarmUp(int64_t rows) {
  const bool batched = max_batch_size_ > 0;
  MadeUpInputs inputs(signature_.inputs, rows, batched);
  if (!inputs.known()) return absl::OkStatus();
  // Not on a lane's stream: other models run there.
  const auto run = [&](OutputSink& sink) { return RunOnDevice(lanes_, inputs.inputs(), sink); };
  TrialSink sink;
  const auto start = std::chrono::steady_clock::now();
  absl::Status tried = run(sink);
  const auto took = std::chrono::steady_clock::now() - start;
  if (tried.ok()) tried = sink.Check(signature_.outputs, rows, batched);
  if (!tried.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the compiled model fails on inputs of the configured types and shapes: ",
                     tried.message()));
  }
  warm_up_.Add(rows, took, run);
  return absl::OkStatus();
}

absl::Status TorchCompiledExecutor::RunOnDevice(uint32_t lane, absl::Span<const InputTensor> inputs,
                                                OutputSink& sink) {
  absl::Status status;
  try {
    status = device_.RunOnLane(lane, [&] { return RunPackage(inputs, sink); });
  } catch (...) {
    status = StatusOfCurrentException();
  }
  if (absl::IsInternal(status)) device_.CheckAfterFailure(lane);
  return status;
}

absl::StatusOr<std::vector<at::Tensor>> TorchCompiledExecutor::Arguments(
    absl::Span<const InputTensor> inputs, uint32_t size) const {
  std::vector<at::Tensor> arguments;
  arguments.reserve(inputs.size());
  for (const size_t index : input_of_argument_) {
    const std::string& name = signature_.inputs[index].name;
    if (inputs[index].type == DataType::kInvalid) {
      return absl::InvalidArgumentError(
          absl::StrCat("input \"", name, "\" is missing; a compiled model has no default for it"));
    }
    absl::StatusOr<at::Tensor> tensor = TensorOverInput(inputs[index], name, device_.device());
    if (!tensor.ok()) return tensor.status();
    const bool fits = size == 0 || tensor->size(0) == size;
    arguments.push_back(fits ? *std::move(tensor) : Padded(*tensor, size));
  }
  return arguments;
}

absl::Status TorchCompiledExecutor::RunPackage(absl::Span<const InputTensor> inputs,
                                               OutputSink& sink) {
  if (inputs.size() != signature_.inputs.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the model takes ", signature_.inputs.size(),
                                                   " inputs, but ", inputs.size(), " came"));
  }
  const bool batched = max_batch_size_ > 0;
  const int64_t rows = batched && !inputs[0].shape.empty() ? inputs[0].shape[0] : 1;
  const std::optional<uint32_t> size =
      batched ? CompiledSizeFor(rows, fixed_sizes_, packages_.count(0) > 0)
              : std::optional<uint32_t>(0);
  const auto package = size.has_value() ? packages_.find(*size) : packages_.end();
  if (package == packages_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no file of the model was compiled for ", rows, " rows"));
  }
  const c10::InferenceMode inference;
  absl::StatusOr<std::vector<at::Tensor>> results =
      CallPackage(*package->second, *size, rows, inputs);
  if (absl::IsResourceExhausted(results.status()) && device_.FreeMemory()) {
    results = CallPackage(*package->second, *size, rows, inputs);
  }
  if (!results.ok()) return results.status();
  return outputs_.Deliver(c10::IValue(*std::move(results)), sink);
}

absl::StatusOr<std::vector<at::Tensor>> TorchCompiledExecutor::CallPackage(
    TorchPackage& package, uint32_t size, int64_t rows,
    absl::Span<const InputTensor> inputs) const {
  try {
    const absl::StatusOr<std::vector<at::Tensor>> arguments = Arguments(inputs, size);
    if (!arguments.ok()) return arguments.status();
    std::vector<at::Tensor> results = package.Run(*arguments);
    for (at::Tensor& result : results) {
      if (size > rows && result.dim() > 0 && result.size(0) == size)
        result = result.narrow(0, 0, rows);
    }
    return results;
  } catch (...) {
    return StatusOfCurrentException();
  }
}

absl::Status TorchCompiledExecutor::Run(uint32_t lane, absl::Span<const InputTensor> inputs,
                                        OutputSink& sink) {
  if (lane >= lanes_) {
    return absl::InternalError(absl::StrCat("the model was not loaded for lane ", lane));
  }
  PrepareThread(threads_);
  return RunOnDevice(lane, inputs, sink);
}

}  // namespace tandem::worker
