#include "backends/worker/torch_compiled_executor.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
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

// As a version's folder has it; 0: the file for any size.
absl::Status NameFile(uint32_t size, const absl::Status& status) {
  const std::string file = size == 0 ? "model.pt2" : absl::StrCat("model.b", size, ".pt2");
  return absl::Status(status.code(), absl::StrCat(file, ": ", status.message()));
}

// Code that was compiled for a GPU may count on the alignment of its inputs.
constexpr uintptr_t kAlignment = 64;

// The part's rows, from `begin`; behind them zeros, up to the size that the file was compiled for.
at::Tensor RowsOf(const at::Tensor& tensor, int64_t begin, const CompiledPart& part) {
  const at::Tensor rows = tensor.narrow(0, begin, part.rows);
  if (!part.is_padded()) {
    const bool is_aligned = reinterpret_cast<uintptr_t>(rows.const_data_ptr()) % kAlignment == 0;
    return is_aligned ? rows : rows.clone();
  }
  std::vector<int64_t> sizes = tensor.sizes().vec();
  sizes[0] = part.size;
  at::Tensor padded = at::zeros(sizes, tensor.options());
  padded.narrow(0, 0, part.rows).copy_(rows);
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
    if (!package.ok()) return NameFile(size, package.status());
    if ((*package)->input_count() != spec.inputs.size()) {
      return NameFile(size, absl::InvalidArgumentError(absl::StrCat(
                                "the compiled model takes ", (*package)->input_count(),
                                " tensors, but ", spec.inputs.size(), " inputs are configured")));
    }
    packages_[size] = *std::move(package);
    if (size > 0) fixed_sizes_.push_back(size);
  }
  if (max_batch_size_ == 0 && packages_.count(0) == 0) {
    return absl::InvalidArgumentError(
        "max_batch_size is 0, but each file was compiled for a batch size: add model.pt2, or set "
        "max_batch_size");
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
  MakePlan();
  for (const int64_t rows : SizesToTry()) {
    if (absl::Status warm = WarmUp(rows); !warm.ok()) return warm;
  }
  MakePlan();
  return absl::OkStatus();
}

void TorchCompiledExecutor::MakePlan() {
  int64_t most = max_batch_size_;
  if (most == 0) return;
  // Those that are larger are tried as well.
  if (!fixed_sizes_.empty()) most = std::max<int64_t>(most, fixed_sizes_.back());
  plan_.emplace(fixed_sizes_, packages_.count(0) > 0, most, warm_up_.runs());
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
    status = device_.RunOnLane(lane, [&] { return RunPackages(inputs, sink); });
  } catch (...) {
    status = StatusOfCurrentException();
  }
  if (absl::IsInternal(status)) device_.CheckAfterFailure(lane);
  return status;
}

absl::StatusOr<std::vector<at::Tensor>> TorchCompiledExecutor::Arguments(
    absl::Span<const InputTensor> inputs) const {
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
    arguments.push_back(*std::move(tensor));
  }
  return arguments;
}

absl::Status TorchCompiledExecutor::RunPackages(absl::Span<const InputTensor> inputs,
                                                OutputSink& sink) {
  if (inputs.size() != signature_.inputs.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the model takes ", signature_.inputs.size(),
                                                   " inputs, but ", inputs.size(), " came"));
  }
  const c10::InferenceMode inference;
  absl::StatusOr<std::vector<at::Tensor>> results = CallPackages(inputs);
  if (absl::IsResourceExhausted(results.status()) && device_.FreeMemory()) {
    results = CallPackages(inputs);
  }
  if (!results.ok()) return results.status();
  return outputs_.Deliver(c10::IValue(*std::move(results)), sink);
}

absl::StatusOr<std::vector<at::Tensor>> TorchCompiledExecutor::CallPackages(
    absl::Span<const InputTensor> inputs) const {
  try {
    const absl::StatusOr<std::vector<at::Tensor>> arguments = Arguments(inputs);
    if (!arguments.ok()) return arguments.status();
    if (max_batch_size_ == 0) return packages_.at(0)->Run(*arguments);
    const int64_t rows = arguments->front().dim() > 0 ? arguments->front().size(0) : 0;
    if (rows < 1 || rows > plan_->most()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the model takes 1 to ", plan_->most(), " rows, but ", rows, " came"));
    }
    const std::vector<CompiledPart> parts = plan_->PartsOf(rows);
    const bool is_whole = parts.size() == 1 && !parts.front().is_padded();
    if (is_whole) return packages_.at(parts.front().size)->Run(*arguments);
    return CallParts(*arguments, parts);
  } catch (...) {
    return StatusOfCurrentException();
  }
}

absl::StatusOr<std::vector<at::Tensor>> TorchCompiledExecutor::CallParts(
    const std::vector<at::Tensor>& arguments, const std::vector<CompiledPart>& parts) const {
  // By output, then by part.
  std::vector<std::vector<at::Tensor>> results;
  int64_t begin = 0;
  for (const CompiledPart& part : parts) {
    std::vector<at::Tensor> rows;
    rows.reserve(arguments.size());
    for (const at::Tensor& argument : arguments) rows.push_back(RowsOf(argument, begin, part));
    const std::vector<at::Tensor> ran = packages_.at(part.size)->Run(rows);
    results.resize(ran.size());
    const int64_t given = std::max<int64_t>(part.size, part.rows);
    for (size_t i = 0; i < ran.size(); ++i) {
      if (ran[i].dim() == 0 || ran[i].size(0) != given) {
        return absl::InternalError(
            absl::StrCat("the model's output number ", i, " has not ", given, " rows"));
      }
      results[i].push_back(ran[i].narrow(0, 0, part.rows));
    }
    begin += part.rows;
  }
  std::vector<at::Tensor> joined;
  joined.reserve(results.size());
  for (const std::vector<at::Tensor>& result : results) joined.push_back(at::cat(result));
  return joined;
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
