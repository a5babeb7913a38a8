// What is known of a model before any process loads it: config.pbtxt, or the conventions where
// there is none.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/tensor.h"

namespace tandem {

// What a pool serves: the models of KIND_CPU or those of KIND_GPU.
enum class PoolKind : uint8_t { kCpu, kGpu };

inline const char* PoolKindName(PoolKind kind) { return kind == PoolKind::kCpu ? "cpu" : "gpu"; }

// Which pools run a model. What the model's instance groups do not allow stays forbidden.
enum class PlacementMode : uint8_t {
  // Every pool that holds it; each request goes where it is answered first.
  kAuto,
  // Pools of one kind alone.
  kCpu,
  kGpu,
  // Pools of that kind, and others for requests that would miss their deadlines there.
  kPreferCpu,
  kPreferGpu,
  // GPU pools, and CPU pools only while no GPU pool can run it.
  kFallback,
};

// Their names in configurations, in the order of the enumerators.
inline constexpr std::array<const char*, 6> kPlacementModeNames = {
    "auto", "cpu", "gpu", "prefer_cpu", "prefer_gpu", "fallback"};

// Limits of the requests that wait, of one priority level or of all.
struct QueuePolicy {
  // How long one may wait. 0: no limit.
  Duration default_timeout{0};
  // After that it waits on, behind all others, instead of being refused.
  bool delay_on_timeout = false;
  // Requests that may wait. 0: only the server's own limit.
  uint32_t max_queue_size = 0;

  friend bool operator==(const QueuePolicy&, const QueuePolicy&) = default;
};

struct ModelConfig {
  std::string name;
  // "pytorch_libtorch", "torch_aoti" or "synthetic".
  std::string platform;
  // 0: the model has no batch dimension, and each request runs alone.
  uint32_t max_batch_size = 0;
  // Empty where there is no config.pbtxt: the worker tells them after the load.
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  // Kinds of pool that hold the model. At least one is true.
  bool on_cpu = true;
  bool on_gpu = false;
  // Lanes of one pool that may run the model at the same time. 0: all.
  uint32_t instances_cpu = 0;
  uint32_t instances_gpu = 0;
  // Requests of the model may run together in one batch (config.pbtxt has `dynamic_batching`).
  bool dynamic_batching = false;
  // How long a request may wait for others to join it.
  Duration max_queue_delay{0};
  // A batch of such a size goes at once, without waiting for more. Ascending.
  std::vector<uint32_t> preferred_batch_sizes;
  // Answers come in the order of the requests: one batch runs at a time, the oldest first.
  bool preserve_ordering = false;
  // Requests of level 1 go before those of level 2, and so on. 0: no levels.
  uint32_t priority_levels = 0;
  // Level of a request that names none.
  uint32_t default_priority_level = 0;
  // Of all levels but those named.
  QueuePolicy queue_policy;
  std::map<uint32_t, QueuePolicy> level_policies;
  PlacementMode placement = PlacementMode::kAuto;
  // How long a batch may run before its worker is taken to hang. 0: the router judges by
  // experience.
  Duration execution_timeout{0};
  // Method of the TorchScript module.
  std::string method = "forward";
  std::map<std::string, std::string> parameters;

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

// A version that is served: the thing that is loaded.
struct ModelVersion {
  // Number by which server and workers name it. Unique for the life of the server.
  uint32_t handle = 0;
  int64_t version = 1;
  ModelConfig config;
  // The version's model file, absolute. Empty for the synthetic platform.
  std::string file;
  // Of a compiled model: files for one batch size each. `file` is then the one for any size, and
  // may be empty.
  std::map<uint32_t, std::string> files_by_batch_size;
  // Differs where the files have changed between two readings of the repository.
  std::string files_stamp;
};

// Whether a load of the one would give what a load of the other does.
inline bool HaveSameContent(const ModelVersion& a, const ModelVersion& b) {
  return a.config == b.config && a.file == b.file &&
         a.files_by_batch_size == b.files_by_batch_size && a.files_stamp == b.files_stamp;
}

}  // namespace tandem
