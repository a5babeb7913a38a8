#include "backends/worker/torch_graphs.h"

#include <ATen/core/List.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/nan_to_num.h>
#include <c10/core/InferenceMode.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "backends/worker/torch_errors.h"
#include "backends/worker/torch_warm_up.h"

namespace tandem::worker {
namespace {

using Arguments = std::vector<c10::IValue>;

// Runs before the recording, in which libraries choose and make what they need.
constexpr int kRunsBefore = 2;

// A recorded run starts the very kernels of the plain one; this part of the largest number is above
// what their order of additions changes, and below what other inputs would.
constexpr double kTolerance = 1e-3;

int64_t KeyOf(const Arguments& arguments) {
  for (const c10::IValue& argument : arguments) {
    if (argument.isTensor()) return argument.toTensor().numel();
  }
  return -1;
}

// Whether the given tensors can be copied into the recorded ones.
bool Match(const Arguments& recorded, const Arguments& given) {
  if (recorded.size() != given.size()) return false;
  for (size_t i = 0; i < recorded.size(); ++i) {
    if (recorded[i].isTensor() != given[i].isTensor()) return false;
    if (!recorded[i].isTensor()) continue;
    const at::Tensor& to = recorded[i].toTensor();
    const at::Tensor& from = given[i].toTensor();
    if (to.sizes() != from.sizes() || to.scalar_type() != from.scalar_type()) return false;
  }
  return true;
}

void CopyInto(const Arguments& recorded, const Arguments& given) {
  for (size_t i = 0; i < recorded.size(); ++i) {
    if (!recorded[i].isTensor()) continue;
    recorded[i].toTensor().copy_(given[i].toTensor(), /*non_blocking=*/true);
  }
}

// Tensors of the device's own, with the same numbers.
Arguments OnDevice(const Arguments& given, c10::Device device) {
  Arguments arguments = given;
  for (c10::IValue& argument : arguments) {
    if (argument.isTensor()) argument = argument.toTensor().to(device).clone();
  }
  return arguments;
}

// False where a value is neither a tensor nor made of tensors: a recorded run would give the number
// of its recording for ever.
bool CollectTensors(const c10::IValue& value, std::vector<at::Tensor>& tensors) {
  if (value.isTensor()) {
    tensors.push_back(value.toTensor());
    return true;
  }
  if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      if (!CollectTensors(entry.value(), tensors)) return false;
    }
    return true;
  }
  if (!value.isTuple() && !value.isTensorList() && !value.isList()) return value.isNone();
  const c10::ArrayRef<c10::IValue> elements =
      value.isTuple() ? c10::ArrayRef<c10::IValue>(value.toTupleRef().elements())
                      : value.toListRef();
  for (const c10::IValue& element : elements) {
    if (!CollectTensors(element, tensors)) return false;
  }
  return true;
}

bool AreAlike(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  if (!a.is_floating_point()) return at::equal(a, b);
  if (a.numel() == 0) return true;
  const at::Tensor wide = a.to(at::kFloat);
  const double largest = at::nan_to_num(wide).abs().max().item<double>();
  return at::allclose(wide, b.to(at::kFloat), kTolerance, kTolerance * largest, /*equal_nan=*/true);
}

bool AreAlike(const c10::IValue& a, const c10::IValue& b) {
  std::vector<at::Tensor> first;
  std::vector<at::Tensor> second;
  if (!CollectTensors(a, first) || !CollectTensors(b, second)) return false;
  if (first.size() != second.size()) return false;
  for (size_t i = 0; i < first.size(); ++i) {
    if (!AreAlike(first[i], second[i])) return false;
  }
  return true;
}

absl::Status Differs() {
  return absl::FailedPreconditionError(
      "a recorded run does not give what the model gives: its answers depend on more than the "
      "numbers of its inputs");
}

}  // namespace

std::vector<int64_t> GraphSizes(const std::map<std::string, std::string>& parameters) {
  std::vector<int64_t> sizes;
  const auto found = parameters.find("cuda_graphs");
  if (found == parameters.end()) return sizes;
  for (const absl::string_view part : absl::StrSplit(found->second, ',')) {
    int64_t size = 0;
    if (absl::SimpleAtoi(part, &size) && size > 0) sizes.push_back(size);
  }
  return sizes;
}

bool KeepsState(const torch::jit::Module& module) {
  // What freezing leaves as an attribute is what some method changes.
  for (const auto& attribute : module.named_attributes(/*recurse=*/true)) {
    const bool is_mode = attribute.value.isBool() && (attribute.name == "training" ||
                                                      absl::EndsWith(attribute.name, ".training"));
    if (!is_mode && !attribute.value.isNone() && !attribute.value.isModule()) return true;
  }
  return false;
}

absl::Status TorchGraphs::Record(TorchDevice& device, uint32_t lane, int64_t rows, bool batched,
                                 const ArgumentBinding& arguments, const Method& method) {
  try {
    return TryRecord(device, lane, rows, batched, arguments, method);
  } catch (...) {
    return absl::FailedPreconditionError(StatusOfCurrentException().message());
  }
}

absl::Status TorchGraphs::TryRecord(TorchDevice& device, uint32_t lane, int64_t rows, bool batched,
                                    const ArgumentBinding& arguments, const Method& method) {
  const c10::InferenceMode inference;
  MadeUpInputs inputs(arguments.inputs(), rows, batched);
  if (!inputs.known() || !arguments.takes_tensors_alone()) {
    return absl::FailedPreconditionError(
        "its inputs' types and sizes are not all given, or one is no tensor of the model's");
  }
  inputs.Vary();
  const absl::StatusOr<Arguments> given = arguments.Arguments(inputs.inputs(), c10::kCPU);
  if (!given.ok()) return given.status();
  Graph graph;
  absl::Status run = device.RunOnLane(lane, [&] {
    graph.arguments = OnDevice(*given, device.device());
    for (int i = 0; i < kRunsBefore; ++i) method(graph.arguments);
    return absl::OkStatus();
  });
  if (!run.ok()) return run;
  absl::StatusOr<std::unique_ptr<RecordedRun>> recorded =
      device.Record(lane, [method, recorded_on = graph.arguments] { return method(recorded_on); });
  if (!recorded.ok()) return recorded.status();
  graph.run = *std::move(recorded);
  // Other numbers in the same place: `given` lies over them.
  inputs.Vary();
  run = device.RunOnLane(lane, [&] {
    const c10::IValue plain = method(OnDevice(*given, device.device()));
    CopyInto(graph.arguments, *given);
    graph.run->Replay();
    return AreAlike(plain, graph.run->result()) ? absl::OkStatus() : Differs();
  });
  if (!run.ok()) return run;
  graphs_[KeyOf(*given)] = std::move(graph);
  return absl::OkStatus();
}

const c10::IValue* TorchGraphs::Replay(const Arguments& arguments) {
  const auto found = graphs_.find(KeyOf(arguments));
  if (found == graphs_.end() || !Match(found->second.arguments, arguments)) return nullptr;
  CopyInto(found->second.arguments, arguments);
  found->second.run->Replay();
  return &found->second.run->result();
}

}  // namespace tandem::worker
