// The machine as this process may use it. A value.
#pragma once

#include <vector>

namespace tandem::server {

struct Machine {
  // Numbers of the cores. Never empty.
  std::vector<int> cores;
  // Numbers of the visible GPUs, as CUDA counts them.
  std::vector<int> gpus;
};

// Asks the kernel, /dev and CUDA_VISIBLE_DEVICES.
Machine FindMachine();

}  // namespace tandem::server
