#include "tests/worker/torch_recording_device.h"

#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>

#include <utility>

#include "backends/worker/torch_device.h"
#include "backends/worker/torch_errors.h"
#include "backends/worker/torch_runtime.h"

namespace tandem::worker {
namespace {

// What is no tensor stays what it was.
void Overwrite(const c10::IValue& to, const c10::IValue& from) {
  if (to.isTensor()) to.toTensor().copy_(from.toTensor());
}

// Runs the work again and puts its results where those of the first run lie.
class RepeatedRun : public RecordedRun {
 public:
  RepeatedRun(std::function<c10::IValue()> work, RecordingDeviceLog& log)
      : work_(std::move(work)), result_(work_()), log_(log) {}

  void Replay() override {
    ++log_.replays;
    const c10::IValue again = work_();
    if (!result_.isTuple()) return Overwrite(result_, again);
    for (size_t i = 0; i < result_.toTupleRef().elements().size(); ++i) {
      Overwrite(result_.toTupleRef().elements()[i], again.toTupleRef().elements()[i]);
    }
  }
  const c10::IValue& result() const override { return result_; }

 private:
  const std::function<c10::IValue()> work_;
  c10::IValue result_;
  RecordingDeviceLog& log_;
};

class RecordingDevice : public CpuDevice {
 public:
  explicit RecordingDevice(RecordingDeviceLog& log) : log_(log) {}

  bool records() const override { return true; }
  absl::StatusOr<std::unique_ptr<RecordedRun>> Record(
      uint32_t, const std::function<c10::IValue()>& work) override {
    if (!log_.refusal.empty()) return absl::FailedPreconditionError(log_.refusal);
    ++log_.recordings;
    return std::make_unique<RepeatedRun>(work, log_);
  }
  bool FreeMemory() override {
    ++log_.freed;
    return true;
  }
  void CheckAfterFailure(uint32_t) override { ++log_.checked; }

 private:
  RecordingDeviceLog& log_;
};

}  // namespace

std::unique_ptr<Runtime> MakeRecordingRuntime(RecordingDeviceLog& log) {
  return std::make_unique<TorchRuntime>(std::make_shared<RecordingDevice>(log));
}

}  // namespace tandem::worker
