// TorchScript models written in the test itself, and what runs them. Hides LibTorch's headers from
// the tests: they define macros that Catch2 defines too.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/ipc/unique_fd.h"
#include "backends/worker/executor.h"

namespace tandem::worker {

// A model file of a module with those methods, written in TorchScript, and those one-dimensional
// buffers.
ipc::UniqueFd SaveModel(const std::string& methods,
                        const std::map<std::string, std::vector<float>>& buffers = {});

// A file with those bytes.
ipc::UniqueFd SaveBytes(const std::string& bytes);

std::unique_ptr<Runtime> MakeCpuRuntime();

// A tensor with its own bytes, in and out.
struct HeldTensor {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  std::vector<std::byte> bytes;

  template <typename T>
  static HeldTensor Of(DataType type, Shape shape, const std::vector<T>& elements) {
    const auto* first = reinterpret_cast<const std::byte*>(elements.data());
    return {"", type, std::move(shape), {first, first + elements.size() * sizeof(T)}};
  }
  static HeldTensor Floats(Shape shape, const std::vector<float>& elements) {
    return Of(DataType::kFp32, std::move(shape), elements);
  }
  static HeldTensor Strings(const std::vector<std::string>& strings);
  // An optional input that is left out.
  static HeldTensor LeftOut() { return {}; }

  template <typename T>
  std::vector<T> As() const {
    const auto* first = reinterpret_cast<const T*>(bytes.data());
    return {first, first + bytes.size() / sizeof(T)};
  }
  std::vector<std::string> AsStrings() const;
};

// Runs one batch and returns the outputs.
absl::StatusOr<std::vector<HeldTensor>> RunOnce(Executor& executor, std::vector<HeldTensor> inputs,
                                                uint32_t lane = 0);

// Loads the methods as a model without a configuration.
absl::StatusOr<std::unique_ptr<Executor>> LoadMethods(Runtime& runtime, const std::string& methods,
                                                      ModelSpec spec = {});

}  // namespace tandem::worker
