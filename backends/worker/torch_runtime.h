// Makes executors of TorchScript models on one device.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "backends/worker/executor.h"
#include "backends/worker/torch_device.h"

namespace tandem::worker {

// The platform's name in model configurations.
inline constexpr char kTorchPlatform[] = "pytorch_libtorch";

// Outlives its executors.
class TorchRuntime : public Runtime {
 public:
  explicit TorchRuntime(std::unique_ptr<TorchDevice> device) : device_(std::move(device)) {}

  absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec& model) override;

 private:
  std::unique_ptr<TorchDevice> device_;
};

// "LibTorch 2.11.0".
std::string LibTorchDescription();

// Settings of LibTorch that hold for the whole process. Called once, before any model is loaded.
void SetUpLibTorch(uint32_t threads);

}  // namespace tandem::worker
