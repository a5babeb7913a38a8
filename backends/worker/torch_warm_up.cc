#include "backends/worker/torch_warm_up.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_values.h"

namespace tandem::worker {
namespace {

constexpr size_t kMostBytes = size_t{1} << 28;

constexpr int kUntimedRuns = 2;
constexpr int kTimedRuns = 3;
constexpr std::chrono::milliseconds kLongestTiming{50};
// Room for a machine that is not quiet.
constexpr double kMostOverRows = 1.5;

// The dimensions with the batch's in front.
Shape FullShape(const TensorSpec& spec, int64_t batch, bool batched) {
  Shape shape;
  if (batched) shape.push_back(batch);
  shape.insert(shape.end(), spec.dims.begin(), spec.dims.end());
  return shape;
}

// -1 is any size.
bool Fits(const Shape& shape, const Shape& wanted) {
  return std::equal(shape.begin(), shape.end(), wanted.begin(), wanted.end(),
                    [](int64_t have, int64_t want) { return want < 0 || have == want; });
}

}  // namespace

MadeUpInputs::MadeUpInputs(const std::vector<TensorSpec>& specs, int64_t batch, bool batched) {
  for (const TensorSpec& spec : specs) {
    InputTensor input{
        .type = spec.type, .shape = FullShape(spec, batch, batched), .data = nullptr, .bytes = 0};
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

void MadeUpInputs::Vary() {
  for (const InputTensor& input : inputs_) {
    absl::StatusOr<at::Tensor> tensor = TensorOverInput(input, "", c10::Device(c10::kCPU));
    if (!tensor.ok()) continue;
    if (tensor->is_floating_point()) {
      tensor->uniform_(0, 1);
    } else {
      tensor->fill_(1);
    }
  }
}

// The first runs of a size take longer, since LibTorch still works on its plan then. Of a slow size
// that is little, unless the run was the model's very first, or the device had to be set up for the
// size: then it took longer than the rows would one by one.
bool WarmUpTimes::IsTelling(int64_t rows, std::chrono::nanoseconds first) const {
  if (first <= kLongestTiming || runs_.empty()) return false;
  const TimedRun& smaller = runs_.back();
  const double row_by_row = static_cast<double>(smaller.time.count()) * static_cast<double>(rows) /
                            static_cast<double>(smaller.rows);
  return static_cast<double>(first.count()) <= kMostOverRows * row_by_row;
}

void WarmUpTimes::Add(int64_t rows, std::chrono::nanoseconds first,
                      absl::FunctionRef<absl::Status(OutputSink&)> run) {
  using std::chrono::steady_clock;
  if (IsTelling(rows, first)) {
    runs_.push_back({rows, first});
    return;
  }
  const auto begin = steady_clock::now();
  for (int i = 0; i < kUntimedRuns + kTimedRuns; ++i) {
    TrialSink sink;
    const auto start = steady_clock::now();
    if (!run(sink).ok()) break;
    const auto end = steady_clock::now();
    const bool slow = end - begin > kLongestTiming;
    if (i >= kUntimedRuns || slow) runs_.push_back({rows, end - start});
    if (slow) break;
  }
}

absl::StatusOr<std::vector<std::byte*>> TrialSink::Allocate(std::vector<OutputTensor> outputs) {
  outputs_ = std::move(outputs);
  std::vector<std::byte*> places;
  for (const OutputTensor& output : outputs_) {
    buffers_.emplace_back(output.bytes);
    places.push_back(buffers_.back().data());
  }
  return places;
}

absl::Status TrialSink::Check(const std::vector<TensorSpec>& configured, int64_t batch,
                              bool batched) const {
  for (size_t i = 0; i < std::min(configured.size(), outputs_.size()); ++i) {
    const TensorSpec& spec = configured[i];
    const OutputTensor& output = outputs_[i];
    if (spec.type != DataType::kInvalid && output.type != spec.type) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the output \"", spec.name, "\" is configured as ", std::string(DataTypeName(spec.type)),
          ", but the model gives ", std::string(DataTypeName(output.type))));
    }
    const Shape wanted = FullShape(spec, batch, batched);
    if (!spec.any_shape && !Fits(output.shape, wanted)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the output \"", spec.name, "\" is configured with the shape ", ShapeToString(wanted),
          ", but the model gives ", ShapeToString(output.shape)));
    }
  }
  return absl::OkStatus();
}

}  // namespace tandem::worker
