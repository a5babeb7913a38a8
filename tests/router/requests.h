// Builds models, requests and tensors for the tests of the router. Free functions, thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/infer_request.h"
#include "core/model_config.h"
#include "core/tensor.h"
#include "router/queued_request.h"

namespace tandem {

// Some point in time that tests start from.
inline constexpr TimePoint kStart{std::chrono::hours(1)};

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TensorSpec Spec(std::string name, DataType type, Shape dims);

// "m" with input "x" FP32 [4] and output "y" FP32 [4], up to 8 rows, dynamic batching without
// delay, CPU only.
ModelConfig BatchingModel(std::string name = "m");
std::shared_ptr<const ModelVersion> Version(ModelConfig config, uint32_t handle = 1,
                                            int64_t version = 1);

// A tensor over bytes of `type`; they live as long as the program.
Tensor MakeTensor(std::string name, DataType type, Shape shape);
template <typename T>
Tensor TensorOf(std::string name, DataType type, Shape shape, const std::vector<T>& values) {
  Tensor tensor{std::move(name), type, std::move(shape), {}};
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  tensor.pieces.push_back({bytes, values.size() * sizeof(T)});
  return tensor;
}

// A request for BatchingModel with so many rows of zeros.
std::unique_ptr<InferRequest> Request(int64_t rows = 1, std::string model = "m");

// The same, past the checks.
std::unique_ptr<QueuedRequest> Queued(TimePoint arrival, int64_t rows = 1, int64_t columns = 4);

}  // namespace tandem
