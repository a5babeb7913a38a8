// The machine as this process may use it. A value.
#pragma once

#include <cstdint>
#include <vector>

namespace tandem::server {

struct Machine {
  // Numbers of the cores. Never empty.
  std::vector<int> cores;
  // Numbers of the visible GPUs, as CUDA counts them.
  std::vector<int> gpus;
  // Physical memory. 0: not known.
  uint64_t memory_bytes = 0;
};

// Asks the kernel, /dev and CUDA_VISIBLE_DEVICES.
Machine FindMachine();

}  // namespace tandem::server
