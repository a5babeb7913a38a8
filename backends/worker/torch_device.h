// The seam between the executor and the device that it runs on, so that one executor serves CPU and
// CUDA and the CPU's program links nothing of CUDA.
#pragma once

#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tandem::worker {

// A run that the device has recorded and can do again as a whole: a CUDA graph. Used within
// RunOnLane of its lane alone.
class RecordedRun {
 public:
  virtual ~RecordedRun() = default;
  // Does again what was recorded, on the memory that it was recorded on. Throws what LibTorch
  // throws.
  virtual void Replay() = 0;
  // What the work returned. Its tensors keep their places: each replay writes to them.
  virtual const c10::IValue& result() const = 0;
};

// Thread-safe: lanes use it at the same time. Lives longer than the executors made on it.
class TorchDevice {
 public:
  virtual ~TorchDevice() = default;

  virtual c10::Device device() const = 0;

  // Of a GPU, "90"; what code that was compiled before must have been compiled for.
  virtual std::string compute_capability() const { return ""; }

  // Runs the work on the calling thread with the lane's stream, and returns when the device has
  // finished it, however it ended. What LibTorch throws passes through.
  virtual absl::Status RunOnLane(uint32_t lane, absl::FunctionRef<absl::Status()> work) = 0;

  // Whether runs can be recorded.
  virtual bool records() const { return false; }

  // Records what the work does on the lane's stream; meanwhile nothing else runs on the device. To
  // be called outside of RunOnLane, after the work has been done there, so that all that is made
  // once is made. The work may be kept for as long as the run. FAILED_PRECONDITION, with the
  // reason, where the work cannot be recorded, as when it waits for the device. Throws nothing.
  virtual absl::StatusOr<std::unique_ptr<RecordedRun>> Record(
      uint32_t /*lane*/, const std::function<c10::IValue()>& /*work*/) {
    return absl::FailedPreconditionError("the device records no runs");
  }

  // Called after memory ran out, and when a model has gone: gives back to the device what is kept
  // for later. True: another try makes sense. Throws nothing.
  virtual bool FreeMemory() = 0;

  // Called after a run of the lane failed. Does not return where the device can run nothing more in
  // this process: the process ends, and whoever started it starts another.
  virtual void CheckAfterFailure(uint32_t lane) = 0;
};

class CpuDevice : public TorchDevice {
 public:
  c10::Device device() const override { return c10::Device(c10::DeviceType::CPU); }
  absl::Status RunOnLane(uint32_t, absl::FunctionRef<absl::Status()> work) override {
    return work();
  }
  bool FreeMemory() override { return false; }
  void CheckAfterFailure(uint32_t) override {}
};

}  // namespace tandem::worker
