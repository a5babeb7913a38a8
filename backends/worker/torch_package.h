// One AOTInductor package: a model that was compiled to machine code before, by `tandem export` or
// torch._inductor.aoti_compile_and_package.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/worker/package_check.h"
#include "backends/worker/torch_device.h"

namespace tandem::worker {

PackageHost ThisHost(const TorchDevice& device);

// Thread-safe: as many runs at a time as it was loaded for, more wait.
class TorchPackage {
 public:
  // Reads the open file, without moving its position. `copies`: runs at a time; weights are there
  // once. INVALID_ARGUMENT: no package. FAILED_PRECONDITION: made for something else than this
  // process. Throws nothing.
  static absl::StatusOr<std::unique_ptr<TorchPackage>> Load(int file, const TorchDevice& device,
                                                            uint32_t copies);

  // Tensors that a run takes.
  size_t input_count() const { return input_count_; }

  // Throws what LibTorch throws.
  std::vector<at::Tensor> Run(const std::vector<at::Tensor>& inputs) {
    return loader_->run(inputs);
  }

 private:
  explicit TorchPackage(std::unique_ptr<torch::inductor::AOTIModelPackageLoader> loader);

  std::unique_ptr<torch::inductor::AOTIModelPackageLoader> loader_;
  size_t input_count_ = 0;
};

}  // namespace tandem::worker
