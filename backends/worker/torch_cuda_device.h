// The GPU that the process sees: one, chosen by CUDA_VISIBLE_DEVICES when the process was started.
#pragma once

#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/worker/torch_device.h"

namespace tandem::worker {

class CudaDevice : public TorchDevice {
 public:
  // FAILED_PRECONDITION where no GPU is visible or it cannot be used.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Make();

  c10::Device device() const override { return c10::Device(c10::DeviceType::CUDA, 0); }
  absl::Status RunOnLane(uint32_t lane, absl::FunctionRef<absl::Status()> work) override;
  std::string compute_capability() const override { return compute_capability_; }
  bool FreeMemory() override;
  void CheckAfterFailure() override;

  // "NVIDIA H200".
  const std::string& name() const { return name_; }

 private:
  CudaDevice(std::string name, std::string compute_capability,
             std::vector<c10::cuda::CUDAStream> streams);

  std::string name_;
  std::string compute_capability_;
  // Lane n uses stream n modulo their number. LibTorch's pool holds 32.
  std::vector<c10::cuda::CUDAStream> streams_;
};

}  // namespace tandem::worker
