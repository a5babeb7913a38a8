// What the operator asks of a pool: `--pool=NAME=device:cpu,lanes:2,…`, and the pools of a server
// that was asked nothing. Values; free functions, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model_config.h"
#include "server/machine.h"

namespace tandem::server {

// Niceness of workers that compute on the CPU, where it is not configured: the front end, and what
// feeds a GPU, never wait long for a core that such a worker has.
inline constexpr uint32_t kCpuNice = 10;
inline constexpr uint32_t kMostNice = 19;
// Express lanes of each worker that computes on the CPU, where it is not configured.
inline constexpr uint32_t kCpuExpress = 1;
inline constexpr uint32_t kMostExpress = 16;

struct PoolSpec {
  std::string name;
  // "cpu", "gpu:0", …
  std::string device = "cpu";
  // Which models it runs: those of KIND_CPU or of KIND_GPU.
  PoolKind serves = PoolKind::kCpu;
  uint32_t processes = 1;
  // Of each process.
  uint32_t lanes = 1;
  // Of each process besides: for short batches alone, while the others run long ones.
  uint32_t express = 0;
  // Intra-op threads of each lane.
  uint32_t threads = 1;
  // Empty: all.
  std::vector<int> cores;
  uint64_t input_arena_bytes = uint64_t{256} << 20;
  uint64_t output_arena_bytes = uint64_t{256} << 20;
  // Of its own that each process may take. 0: no limit.
  uint64_t memory_bytes = 0;
  // Of a GPU's memory that the tensors of each process may take. 0: no limit.
  uint64_t device_memory_bytes = 0;
  // Niceness of the workers: 0 stands equal to the front end, 19 gives way to everybody.
  uint32_t nice = 0;
  // Percent of its time that each lane may run batches.
  uint32_t cpu_share = 100;
  // The NUMA node of all its cores. Nothing: there are several, or the machine has one alone.
  std::optional<int> memory_node;

  friend bool operator==(const PoolSpec&, const PoolSpec&) = default;
};

// Kinds of pool that the server has: KIND_AUTO, and a model without instance_group, go to all of
// them.
struct PoolKinds {
  bool cpu = true;
  bool gpu = false;
};

PoolKinds KindsOf(const std::vector<PoolSpec>& pools);

// What a pool may leave out, and what it gets then.
struct PoolSpecFields {
  std::string name;
  std::string device;
  std::string serves;
  std::string cores;
  uint32_t processes = 0;
  uint32_t lanes = 0;
  uint32_t threads = 0;
  uint64_t input_arena_bytes = 0;
  uint64_t output_arena_bytes = 0;
  uint64_t memory_bytes = 0;
  uint64_t device_memory_bytes = 0;
  std::optional<uint32_t> express;
  std::optional<uint32_t> nice;
  uint32_t cpu_share = 0;
};

// One CPU pool with a lane for each core, and one GPU pool for each GPU.
std::vector<PoolSpec> DefaultPools(const Machine& machine);

// Parses "NAME=key:value,…"; INVALID_ARGUMENT, naming key, value and choices.
absl::StatusOr<PoolSpecFields> ParsePoolFields(absl::string_view text);

// Fills in what was left out, and checks the rest. INVALID_ARGUMENT, naming field, value and
// choices.
absl::StatusOr<PoolSpec> MakePoolSpec(const PoolSpecFields& fields, const Machine& machine);

// "0-3,8" → {0,1,2,3,8}. INVALID_ARGUMENT where it is no such list.
absl::StatusOr<std::vector<int>> ParseCores(absl::string_view text);

// "256MiB", "1GiB", "4096" → bytes. INVALID_ARGUMENT where it is no such size.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);

// "[A-Za-z0-9_.-]+", not "." or "..".
bool IsValidName(absl::string_view name);

}  // namespace tandem::server
