#include "tests/router/requests.h"

#include <array>
#include <utility>

namespace tandem {
namespace {

constexpr std::array<std::byte, 1 << 16> kZeros{};

}  // namespace

TensorSpec Spec(std::string name, DataType type, Shape dims) {
  TensorSpec spec;
  spec.name = std::move(name);
  spec.type = type;
  spec.dims = std::move(dims);
  return spec;
}

ModelConfig BatchingModel(std::string name) {
  ModelConfig config;
  config.name = std::move(name);
  config.max_batch_size = 8;
  config.dynamic_batching = true;
  config.inputs.push_back(Spec("x", DataType::kFp32, {4}));
  config.outputs.push_back(Spec("y", DataType::kFp32, {4}));
  return config;
}

std::shared_ptr<const ModelVersion> Version(ModelConfig config, uint32_t handle, int64_t version) {
  auto model = std::make_shared<ModelVersion>();
  model->handle = handle;
  model->version = version;
  model->config = std::move(config);
  return model;
}

Tensor MakeTensor(std::string name, DataType type, Shape shape) {
  Tensor tensor{std::move(name), type, std::move(shape), {}};
  tensor.pieces.push_back({kZeros.data(), *ByteSize(type, tensor.shape)});
  return tensor;
}

std::unique_ptr<InferRequest> Request(int64_t rows, std::string model) {
  auto request = std::make_unique<InferRequest>();
  request->model = std::move(model);
  request->inputs.push_back(MakeTensor("x", DataType::kFp32, {rows, 4}));
  return request;
}

std::unique_ptr<QueuedRequest> Queued(TimePoint arrival, int64_t rows, int64_t columns) {
  auto queued = std::make_unique<QueuedRequest>();
  queued->request = std::make_unique<InferRequest>();
  queued->request->arrival = arrival;
  queued->inputs.push_back(MakeTensor("x", DataType::kFp32, {rows, columns}));
  queued->rows = rows;
  return queued;
}

}  // namespace tandem
