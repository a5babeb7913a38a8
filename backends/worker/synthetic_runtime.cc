#include "backends/worker/synthetic_runtime.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/synthetic_model.h"
#include "core/worker_exit_code.h"

namespace tandem::worker {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// A number that is no DataType.
constexpr DataType kNoSuchType = static_cast<DataType>(0xee);

constexpr std::byte kPoisonByte{0xde};
constexpr int kPoisonNumber = 0xde;

// The timer's slack would spoil a shorter wait; it is spun instead.
constexpr std::chrono::microseconds kShortestSleep{200};

void WaitUntil(steady_clock::time_point until) {
  const auto left = until - steady_clock::now();
  if (left >= kShortestSleep) {
    // steady_clock is CLOCK_MONOTONIC here, so its points can be slept to without a drift.
    const nanoseconds at = until.time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at);
    const timespec when = {static_cast<time_t>(seconds.count()),
                           static_cast<long>((at - seconds).count())};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) == EINTR) {
    }
  }
  while (steady_clock::now() < until) {
  }
}

[[noreturn]] void Eat() {
  constexpr size_t kBite = size_t{1} << 22;
  while (true) {
    // Touched, so that the memory is really taken.
    std::memset(::operator new(kBite), 1, kBite);
    WaitUntil(steady_clock::now() + std::chrono::milliseconds(4));
  }
}

// Does not return for the modes that end or stop the process.
void Misbehave(SyntheticMode mode) {
  switch (mode) {
    case SyntheticMode::kCrash:
      // A sanitizer's handler would turn the signal into an exit.
      std::signal(SIGSEGV, SIG_DFL);
      std::raise(SIGSEGV);
      break;
    case SyntheticMode::kAbort:
      std::signal(SIGABRT, SIG_DFL);
      std::abort();
    case SyntheticMode::kExit:
      _exit(3);
    case SyntheticMode::kDeviceLost:
      _exit(kWorkerDeviceLost);
    case SyntheticMode::kEat:
      Eat();
    case SyntheticMode::kHang:
      while (true) pause();
    case SyntheticMode::kEcho:
    case SyntheticMode::kFail:
    case SyntheticMode::kNan:
    case SyntheticMode::kBadShape:
    case SyntheticMode::kGarbage:
      break;
  }
}

template <typename Number>
Number Read(const std::byte* from) {
  Number number;
  std::memcpy(&number, from, sizeof(number));
  return number;
}

bool StartsWithPoison(DataType type, const std::byte* row, size_t bytes) {
  if (type == DataType::kFp32) return bytes >= 4 && Read<float>(row) == kPoisonNumber;
  if (type == DataType::kFp64) return bytes >= 8 && Read<double>(row) == kPoisonNumber;
  // Behind the first string's length.
  if (type == DataType::kBytes) return bytes > 4 && row[4] == kPoisonByte;
  return bytes > 0 && row[0] == kPoisonByte;
}

// A quiet NaN's bits; 0 bytes for types that have none.
std::pair<uint64_t, size_t> NanBits(DataType type) {
  switch (type) {
    case DataType::kFp16:
      return {0x7e00, 2};
    case DataType::kBf16:
      return {0x7fc0, 2};
    case DataType::kFp32:
      return {0x7fc00000, 4};
    case DataType::kFp64:
      return {0x7ff8000000000000, 8};
    default:
      return {0, 0};
  }
}

void FillWithNan(DataType type, std::byte* to, size_t bytes) {
  const auto [bits, size] = NanBits(type);
  if (size == 0) return;
  for (size_t at = 0; at + size <= bytes; at += size) std::memcpy(to + at, &bits, size);
}

class SyntheticExecutor : public Executor {
 public:
  SyntheticExecutor(Signature signature, SyntheticModel model, bool batches,
                    std::vector<TimedRun> warm_up)
      : signature_(std::move(signature)),
        model_(model),
        batches_(batches),
        warm_up_(std::move(warm_up)) {}

  const Signature& signature() const override { return signature_; }
  std::vector<TimedRun> warm_up_runs() const override { return warm_up_; }

  absl::Status Run(uint32_t, absl::Span<const InputTensor> inputs, OutputSink& sink) override {
    const auto start = steady_clock::now();
    if (absl::Status status = CheckInputs(inputs); !status.ok()) return status;
    const int64_t rows = Rows(inputs);
    const SyntheticMode mode = NextMode(inputs, rows);
    Misbehave(mode);
    if (model_.oom_rows > 0 && rows > model_.oom_rows) {
      return absl::ResourceExhaustedError("the device's memory does not hold the batch");
    }
    WaitUntil(start + model_.alpha + rows * model_.beta);
    if (mode == SyntheticMode::kFail) return absl::InternalError("the model failed as it was told");
    return Echo(inputs, mode, sink);
  }

 private:
  absl::Status CheckInputs(absl::Span<const InputTensor> inputs) const {
    if (inputs.size() != signature_.inputs.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected ", signature_.inputs.size(), " inputs, got ", inputs.size()));
    }
    // An optional one that no output echoes may be left out.
    for (size_t i = 0; i < signature_.outputs.size(); ++i) {
      if (inputs[i].type == DataType::kInvalid) {
        return absl::InvalidArgumentError(absl::StrCat("input ", signature_.inputs[i].name,
                                                       " is missing; there is nothing to echo"));
      }
    }
    return absl::OkStatus();
  }

  int64_t Rows(absl::Span<const InputTensor> inputs) const {
    return batches_ && !inputs.empty() && !inputs[0].shape.empty() ? inputs[0].shape[0] : 1;
  }

  SyntheticMode NextMode(absl::Span<const InputTensor> inputs, int64_t rows) {
    const uint64_t run = runs_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (run % model_.every != 0) return SyntheticMode::kEcho;
    if (model_.needs_poison && !IsPoisoned(inputs, rows)) return SyntheticMode::kEcho;
    return model_.mode;
  }

  static bool IsPoisoned(absl::Span<const InputTensor> inputs, int64_t rows) {
    if (inputs.empty() || rows <= 0) return false;
    const InputTensor& first = inputs[0];
    // Strings have no fixed rows: only the first is looked at.
    const size_t count = first.type == DataType::kBytes ? 1 : static_cast<size_t>(rows);
    const size_t row_bytes = first.bytes / count;
    for (size_t row = 0; row < count; ++row) {
      if (StartsWithPoison(first.type, first.data + row * row_bytes, row_bytes)) return true;
    }
    return false;
  }

  absl::Status Echo(absl::Span<const InputTensor> inputs, SyntheticMode mode,
                    OutputSink& sink) const {
    std::vector<OutputTensor> outputs;
    for (size_t i = 0; i < signature_.outputs.size(); ++i) {
      OutputTensor output = {signature_.outputs[i].name, inputs[i].type, inputs[i].shape,
                             inputs[i].bytes};
      if (mode == SyntheticMode::kBadShape) AddRow(output);
      if (mode == SyntheticMode::kGarbage) output.type = kNoSuchType;
      outputs.push_back(std::move(output));
    }
    const absl::StatusOr<std::vector<std::byte*>> places = sink.Allocate(outputs);
    if (!places.ok()) return places.status();
    for (size_t i = 0; i < outputs.size(); ++i) {
      std::byte* const place = (*places)[i];
      const size_t copied = std::min(outputs[i].bytes, inputs[i].bytes);
      if (copied > 0) std::memcpy(place, inputs[i].data, copied);
      if (outputs[i].bytes > copied) std::memset(place + copied, 0, outputs[i].bytes - copied);
      if (mode == SyntheticMode::kNan) FillWithNan(outputs[i].type, place, outputs[i].bytes);
    }
    return absl::OkStatus();
  }

  static void AddRow(OutputTensor& output) {
    if (output.shape.empty()) output.shape.push_back(1);
    ++output.shape[0];
    if (output.type == DataType::kBytes) {
      // One more empty string for each place in the row.
      size_t strings = 1;
      for (size_t i = 1; i < output.shape.size(); ++i) strings *= output.shape[i];
      output.bytes += strings * sizeof(uint32_t);
      return;
    }
    const absl::StatusOr<size_t> bytes = ByteSize(output.type, output.shape);
    if (bytes.ok()) output.bytes = *bytes;
  }

  const Signature signature_;
  const SyntheticModel model_;
  const bool batches_;
  const std::vector<TimedRun> warm_up_;
  std::atomic<uint64_t> runs_{0};
};

absl::StatusOr<Signature> MakeSignature(const ModelSpec& model) {
  Signature signature{model.inputs, model.outputs};
  if (signature.inputs.empty()) {
    TensorSpec& any = signature.inputs.emplace_back();
    any.name = "INPUT__0";
    any.any_shape = true;
  }
  if (signature.outputs.empty()) {
    for (size_t i = 0; i < signature.inputs.size(); ++i) {
      TensorSpec output = signature.inputs[i];
      output.name = absl::StrCat("OUTPUT__", i);
      output.optional = false;
      signature.outputs.push_back(std::move(output));
    }
  }
  if (signature.outputs.size() > signature.inputs.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a synthetic model echoes its inputs, so it cannot have ", signature.outputs.size(),
        " outputs and only ", signature.inputs.size(), " inputs"));
  }
  return signature;
}

// A model that takes longer than this is not worth the wait: the first requests tell.
constexpr std::chrono::milliseconds kLongestWarmUpRun{20};
constexpr int kWarmUpRuns = 3;

// Its waits without its modes: a model that is to crash in its n-th run is not to crash here.
std::vector<TimedRun> WarmUp(const SyntheticModel& model, const ModelSpec& spec) {
  std::vector<TimedRun> runs;
  const int64_t most = std::max<int64_t>(spec.max_batch_size, 1);
  for (int64_t rows = 1; model.alpha + rows * model.beta <= kLongestWarmUpRun;
       rows = std::min(2 * rows, most)) {
    for (int i = 0; i < kWarmUpRuns; ++i) {
      const auto start = steady_clock::now();
      WaitUntil(start + model.alpha + rows * model.beta);
      runs.push_back({rows, steady_clock::now() - start});
    }
    if (rows == most) break;
  }
  return runs;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Executor>> SyntheticRuntime::Load(const ModelSpec& model) {
  const auto start = steady_clock::now();
  const absl::StatusOr<SyntheticModel> parsed = ParseSyntheticModel(model.parameters);
  if (!parsed.ok()) return parsed.status();
  absl::StatusOr<Signature> signature = MakeSignature(model);
  if (!signature.ok()) return signature.status();
  Misbehave(parsed->load_mode);
  WaitUntil(start + parsed->load_time);
  if (parsed->load_mode == SyntheticMode::kFail) {
    return absl::InternalError("the model failed to load as it was told");
  }
  return std::make_unique<SyntheticExecutor>(*std::move(signature), *parsed,
                                             model.max_batch_size > 0, WarmUp(*parsed, model));
}

}  // namespace tandem::worker
