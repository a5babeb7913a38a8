// What runs a model inside a worker. This header speaks core types alone, so that the sources that
// see LibTorch's headers never see protobuf's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor.h"

namespace tandem::worker {

// What to load: worker.proto's LoadModel in core types.
struct ModelSpec {
  std::string name;
  int64_t version = 0;
  uint32_t max_batch_size = 0;
  // Empty where the model itself has to tell.
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::string method;
  std::map<std::string, std::string> parameters;
  // The model's file, open for reading; -1 where the platform has none. Borrowed for the time of
  // Load.
  int file = -1;
  // Of a compiled model: files for one batch size each, likewise; `file` is then the one for any.
  std::map<uint32_t, int> files_by_batch_size;
  // Lanes that will call Run, numbered from 0, and intra-op threads of each.
  uint32_t lanes = 1;
  uint32_t threads = 1;
};

struct Signature {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

// An input of a batch. Type kInvalid: an optional input that was left out.
struct InputTensor {
  DataType type = DataType::kInvalid;
  Shape shape;
  // Writable, since some models work in place; nobody else reads it.
  std::byte* data = nullptr;
  size_t bytes = 0;
};

struct OutputTensor {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  size_t bytes = 0;
};

// Takes the outputs of one run. The executor announces them all, then writes each to its place in
// the output arena.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  // Finds room. Returns one place for each output, of `bytes` bytes and aligned to 64, in order.
  // RESOURCE_EXHAUSTED where there is no room. Called at most once a run.
  virtual absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> outputs) = 0;
  // The run is done in parts, since the memory does not hold it as a whole.
  virtual void NoteParts() {}
};

// A run of a model while it was loaded.
struct TimedRun {
  int64_t rows = 1;
  std::chrono::nanoseconds time{0};
};

// A loaded model. Run is called by several lanes at the same time, each with its own number.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual const Signature& signature() const = 0;
  // What the load's runs tell of the model's times. Empty: nothing.
  virtual std::vector<TimedRun> warm_up_runs() const { return {}; }
  // Sentences for the operator: what was configured and is not done, and why. Mostly none.
  virtual std::vector<std::string> notes() const { return {}; }
  // Whether a run leaves its inputs as they were, also one that fails: else it cannot be repeated.
  virtual bool keeps_inputs() const { return true; }
  // Runs one batch. INVALID_ARGUMENT: the model refused its inputs. RESOURCE_EXHAUSTED: no memory.
  // INTERNAL: it failed. Messages are sentences without paths or addresses. Throws nothing.
  virtual absl::Status Run(uint32_t lane, absl::Span<const InputTensor> inputs,
                           OutputSink& sink) = 0;
};

// Makes executors of one platform.
class Runtime {
 public:
  virtual ~Runtime() = default;
  // Loads and warms up. Throws nothing.
  virtual absl::StatusOr<std::unique_ptr<Executor>> Load(const ModelSpec& model) = 0;
};

// The runtimes of a worker program, by platform, and what it tells of itself. Each program (worker,
// worker-cuda, plain worker for tests) links one definition of MakeRuntimes.
struct Runtimes {
  std::map<std::string, std::unique_ptr<Runtime>> by_platform;
  // "LibTorch 2.11.0".
  std::string description;
  // "cpu", or the name of the GPU.
  std::string device;
};

// What the server decides about a worker's runtimes.
struct RuntimeOptions {
  // Intra-op threads of each lane.
  uint32_t threads = 1;
  // Memory that LibTorch may take on a GPU, in bytes. 0: all that there is.
  uint64_t device_memory_bytes = 0;
  // The arenas, mapped and of whole pages: a GPU copies straight from and to them. They outlive the
  // runtimes.
  std::vector<absl::Span<std::byte>> arenas;
};

// FAILED_PRECONDITION where the device cannot be used (no GPU, less memory than asked for, …).
absl::StatusOr<Runtimes> MakeRuntimes(const RuntimeOptions& options);

}  // namespace tandem::worker
