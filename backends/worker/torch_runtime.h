// Makes executors of TorchScript and of compiled models on one device.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "backends/worker/executor.h"
#include "backends/worker/torch_device.h"

namespace tandem::worker {

// The platforms' names in model configurations.
inline constexpr char kTorchPlatform[] = "pytorch_libtorch";
inline constexpr char kTorchCompiledPlatform[] = "torch_aoti";

// TorchScript. Outlives its executors. The device is shared with the other platform's runtime.
class TorchRuntime : public Runtime {
 public:
  explicit TorchRuntime(std::shared_ptr<TorchDevice> device) : device_(std::move(device)) {}

  absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec& model) override;

 private:
  std::shared_ptr<TorchDevice> device_;
};

// AOTInductor packages. Likewise.
class TorchCompiledRuntime : public Runtime {
 public:
  explicit TorchCompiledRuntime(std::shared_ptr<TorchDevice> device) : device_(std::move(device)) {}

  absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec& model) override;

 private:
  std::shared_ptr<TorchDevice> device_;
};

// Both of them, by platform.
void AddTorchRuntimes(std::shared_ptr<TorchDevice> device, Runtimes& runtimes);

// "LibTorch 2.11.0".
std::string LibTorchDescription();

// Settings of LibTorch that hold for the whole process. Called once, before any model is loaded.
void SetUpLibTorch(uint32_t threads);

}  // namespace tandem::worker
