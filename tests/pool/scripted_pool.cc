#include "tests/pool/scripted_pool.h"

#include <utility>

#include "tests/support/program_path.h"

namespace tandem::testing {

PoolOptions ScriptedOptions(const std::string& program) {
  PoolOptions options;
  options.name = "test";
  options.input_arena_bytes = 1 << 20;
  options.output_arena_bytes = 1 << 20;
  options.program = ProgramPath(program);
  return options;
}

std::shared_ptr<const ModelVersion> ScriptedModel(uint32_t handle, const std::string& run,
                                                  const std::string& load) {
  auto model = std::make_shared<ModelVersion>();
  model->handle = handle;
  model->config.name = "scripted";
  model->config.platform = "synthetic";
  model->config.max_batch_size = 8;
  TensorSpec input;
  input.name = "X";
  input.type = DataType::kFp32;
  input.dims = {-1};
  model->config.inputs = {input};
  model->config.outputs = {input};
  model->config.parameters = {{"run", run}, {"load", load}};
  return model;
}

TestBatch& TestBatch::Add(std::vector<float> numbers, int64_t rows) {
  Member& member = members_.emplace_back();
  member.numbers = std::move(numbers);
  Tensor tensor;
  tensor.name = "X";
  tensor.type = DataType::kFp32;
  tensor.shape = {rows, static_cast<int64_t>(member.numbers.size()) / rows};
  tensor.pieces.push_back({reinterpret_cast<const std::byte*>(member.numbers.data()),
                           member.numbers.size() * sizeof(float)});
  member.inputs.push_back(std::move(tensor));
  rows_ += rows;
  return *this;
}

Batch TestBatch::get() const {
  Batch batch;
  batch.id = id_;
  batch.model_handle = model_handle_;
  batch.model = "scripted";
  batch.rows = rows_;
  for (const Member& member : members_) batch.member_inputs.push_back(member.inputs);
  return batch;
}

std::vector<float> Numbers(const Tensor& tensor) {
  std::vector<float> numbers(tensor.byte_size() / sizeof(float));
  CopyBytes(tensor, reinterpret_cast<std::byte*>(numbers.data()));
  return numbers;
}

LogSink RecordedLog::sink() {
  return [this](LogLevel, const std::string& line) {
    const std::lock_guard lock(mutex_);
    lines_ += line + "\n";
  };
}

bool RecordedLog::Holds(const std::string& text) const {
  return All().find(text) != std::string::npos;
}

std::string RecordedLog::All() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

bool ScriptedPool::LoadAndAwait(std::shared_ptr<const ModelVersion> model) {
  const uint32_t handle = model->handle;
  pool.Load(std::move(model));
  return events.Await(RecordedEvents::Kind::kModelReady, pool.lane_count(), handle);
}

BatchResult ScriptedPool::RunAndAwait(uint64_t id, uint32_t model_handle,
                                      const std::vector<float>& numbers) {
  BatchResult refused;
  refused.status = pool.Run(0, TestBatch(id, model_handle).Add(numbers).get());
  return refused.status.ok() ? events.TakeResult(id) : refused;
}

}  // namespace tandem::testing
