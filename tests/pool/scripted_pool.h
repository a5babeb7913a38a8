// A pool of scripted workers, its events and its log; and the models and batches to give it.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/pool/pool.h"
#include "tests/pool/recorded_events.h"

namespace tandem::testing {

// Options of a pool "test" on the CPU, with small arenas. `program` lies beside the test.
PoolOptions ScriptedOptions(const std::string& program = "tandem_scripted_worker");

// A model for scripted workers, with one input X of type FP32; behaviours as in
// tests/workers/behaviour.h.
std::shared_ptr<const ModelVersion> ScriptedModel(uint32_t handle, const std::string& run = "echo",
                                                  const std::string& load = "");

// Batches and the numbers in them. Not thread-safe.
class TestBatch {
 public:
  TestBatch(uint64_t id, uint32_t model_handle) : id_(id), model_handle_(model_handle) {}

  // A member with one input X of [rows, numbers / rows].
  TestBatch& Add(std::vector<float> numbers, int64_t rows = 1);

  Batch get() const;

 private:
  struct Member {
    std::vector<float> numbers;
    std::vector<Tensor> inputs;
  };
  const uint64_t id_;
  const uint32_t model_handle_;
  int64_t rows_ = 0;
  std::list<Member> members_;
};

// The numbers of an FP32 tensor.
std::vector<float> Numbers(const Tensor& tensor);

// Lines that a pool logged. Thread-safe.
class RecordedLog {
 public:
  LogSink sink();
  // True where a line holds the text.
  bool Holds(const std::string& text) const;
  std::string All() const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::string lines_;
};

// A started pool.
struct ScriptedPool {
  explicit ScriptedPool(PoolOptions options = ScriptedOptions())
      : pool(std::move(options), 0, events, log.sink()), started(pool.Start()) {}

  // Loads the model and waits until it can run on all lanes.
  bool LoadAndAwait(std::shared_ptr<const ModelVersion> model);
  // Runs one batch on lane 0 and waits for its answer. A refusal of Run is an answer too.
  BatchResult RunAndAwait(uint64_t id, uint32_t model_handle, const std::vector<float>& numbers);

  RecordedEvents events;
  RecordedLog log;
  Pool pool;
  absl::Status started;
};

}  // namespace tandem::testing
