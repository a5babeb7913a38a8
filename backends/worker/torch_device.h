// The seam between the executor and the device that it runs on, so that one executor serves CPU and
// CUDA and the CPU's program links nothing of CUDA.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace tandem::worker {

// Thread-safe: lanes use it at the same time. Lives longer than the executors made on it.
class TorchDevice {
 public:
  virtual ~TorchDevice() = default;

  virtual c10::Device device() const = 0;

  // Of a GPU, "90"; what code that was compiled before must have been compiled for.
  virtual std::string compute_capability() const { return ""; }

  // Runs the work on the calling thread with the lane's stream, and returns when the device has
  // finished it. What LibTorch throws passes through.
  virtual absl::Status RunOnLane(uint32_t lane, absl::FunctionRef<absl::Status()> work) = 0;

  // Called after memory ran out. True: some was given back, so that another try makes sense.
  virtual bool FreeMemory() = 0;

  // Called after a run failed. Does not return where the device can run nothing more in this
  // process: the process ends, and whoever started it starts another.
  virtual void CheckAfterFailure() = 0;
};

class CpuDevice : public TorchDevice {
 public:
  c10::Device device() const override { return c10::Device(c10::DeviceType::CPU); }
  absl::Status RunOnLane(uint32_t, absl::FunctionRef<absl::Status()> work) override {
    return work();
  }
  bool FreeMemory() override { return false; }
  void CheckAfterFailure() override {}
};

}  // namespace tandem::worker
