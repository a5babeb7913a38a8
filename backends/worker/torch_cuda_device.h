// The GPU that the process sees: one, chosen by CUDA_VISIBLE_DEVICES when the process was started.
//
// Each lane has a stream of its own: its copies to the device, its kernels and its copies back are
// started one after the other without waiting, and the lane then waits for its stream alone. As
// many batches are in flight as there are lanes, and one lane's copies overlap with another's
// kernels.
#pragma once

#include <c10/cuda/CUDAStream.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/worker/exclusive_gate.h"
#include "backends/worker/executor.h"
#include "backends/worker/torch_cuda_pinned.h"
#include "backends/worker/torch_device.h"

namespace tandem::worker {

class CudaDevice : public TorchDevice {
 public:
  // FAILED_PRECONDITION where no GPU is visible or it cannot be used, or where it has less memory
  // than the options want.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Make(const RuntimeOptions& options);

  c10::Device device() const override { return c10::Device(c10::DeviceType::CUDA, 0); }
  absl::Status RunOnLane(uint32_t lane, absl::FunctionRef<absl::Status()> work) override;
  std::string compute_capability() const override { return compute_capability_; }
  bool records() const override { return true; }
  absl::StatusOr<std::unique_ptr<RecordedRun>> Record(
      uint32_t lane, const std::function<c10::IValue()>& work) override;
  bool FreeMemory() override;
  void CheckAfterFailure(uint32_t lane) override;

  // "NVIDIA H200".
  const std::string& name() const { return name_; }

 private:
  CudaDevice(std::string name, std::string compute_capability,
             std::vector<c10::cuda::CUDAStream> streams);

  const c10::cuda::CUDAStream& StreamOf(uint32_t lane) const {
    return streams_[lane % streams_.size()];
  }

  std::string name_;
  std::string compute_capability_;
  // Lane n uses stream n modulo their number. LibTorch's pool holds as many.
  std::vector<c10::cuda::CUDAStream> streams_;
  std::vector<PinnedRange> arenas_;
  // Lanes enter it for a run. A recording is alone: LibTorch's random numbers and its cache of
  // memory are not to be used by others meanwhile.
  ExclusiveGate gate_;
};

}  // namespace tandem::worker
