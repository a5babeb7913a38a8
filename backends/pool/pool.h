// The server's handle on one device's workers: starts them, loads models into them, hands them
// batches, and starts again those that die.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "backends/pool/worker_state.h"
#include "core/backend.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/model_config.h"

namespace tandem {

struct PoolOptions {
  std::string name;
  PoolKind kind = PoolKind::kCpu;
  // "cpu", "gpu:0", …
  std::string device = "cpu";
  uint32_t processes = 1;
  // Of each process.
  uint32_t lanes = 1;
  // So many of them, the last ones, are express lanes.
  uint32_t express_lanes = 0;
  // Intra-op threads of each lane.
  uint32_t threads = 1;
  // Cores that the workers may use. Empty: all.
  std::vector<int> cores;
  uint64_t input_arena_bytes = uint64_t{256} << 20;
  uint64_t output_arena_bytes = uint64_t{256} << 20;
  // Of its own that each process may take. 0: no limit.
  uint64_t memory_limit_bytes = 0;
  // Of a GPU's memory that each process's tensors may take. 0: no limit.
  uint64_t device_memory_bytes = 0;
  // Percent of its time that each lane may run batches.
  uint32_t cpu_share = 100;
  // The NUMA node whose memory the workers and their arenas take first. Nothing: the kernel's
  // choice.
  std::optional<int> memory_node;
  // A load that takes longer is given up with its worker. 0: no limit.
  Duration load_timeout = std::chrono::minutes(10);
  // Niceness of the workers, 0 to 19. Their express lanes stand half-way to the server.
  uint32_t nice = 0;
  // The worker's program file.
  std::string program;
};

struct WorkerStatus {
  // "cpu/0".
  std::string name;
  WorkerState state = WorkerState::kStarting;
  // 0 while there is no process.
  int64_t pid = 0;
  uint32_t lanes = 0;
  uint64_t restarts = 0;
  // How the last process ended, as in "killed by signal 9 (SIGKILL)". Empty: none ended.
  std::string last_exit;
  uint64_t input_arena_used = 0;
  uint64_t input_arena_bytes = 0;
};

class Pool : public Backend {
 public:
  // `index` is the LaneId::pool of its events. `events` outlives the pool.
  Pool(PoolOptions options, uint32_t index, BackendEvents& events, LogSink log);
  // Stops.
  ~Pool() override;

  // Starts the workers and returns when each has said hello, or with why one could not be started
  // (no such program, no LibTorch, wrong version). From then on workers that die are started again.
  absl::Status Start();

  // Ends all workers: asks, then kills after `grace`. Their batches are answered UNAVAILABLE. While
  // another thread starts the pool, that ends with CANCELLED. Idempotent.
  void Stop(Duration grace);

  std::vector<WorkerStatus> Status() const;

  // Backend.
  std::string_view name() const override;
  PoolKind kind() const override;
  std::string_view device() const override;
  uint32_t lane_count() const override;
  bool is_express(uint32_t lane) const override;
  std::string_view worker_name(uint32_t lane) const override;
  void Load(std::shared_ptr<const ModelVersion> model) override;
  void Unload(uint32_t model_handle) override;
  absl::Status Run(uint32_t lane, const Batch& batch) override;
  Ended TakeEnded() override;
  void StopTaking() override;
  void WatchBatch(uint32_t lane, uint64_t batch_id) override;
  void EndIfItHangs(uint32_t lane, uint64_t batch_id, const Overrun& overrun,
                    std::string reason) override;
  void ExplainDeath(uint32_t lane) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem
