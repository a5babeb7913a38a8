// A pool and its workers as they are now, for people and for metrics. Values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/model_config.h"

namespace tandem::server {

struct WorkerReport {
  // "cpu/0".
  std::string name;
  // "starting", "ready", "restarting".
  std::string state;
  // 0 while there is no process.
  int64_t pid = 0;
  uint32_t lanes = 0;
  uint64_t restarts = 0;
  // How the last process ended. Empty: none ended.
  std::string last_exit;
  uint64_t input_arena_used = 0;
  uint64_t input_arena_bytes = 0;
};

struct PoolReport {
  std::string name;
  PoolKind kind = PoolKind::kCpu;
  // "cpu", "gpu:0".
  std::string device;
  std::vector<WorkerReport> workers;
};

// Asks the pools. Thread-safe; given by the composition root, since the front end does not know the
// pools.
using PoolReporter = std::function<std::vector<PoolReport>()>;

}  // namespace tandem::server
