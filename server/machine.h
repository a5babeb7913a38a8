// The machine as this process may use it. A value.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"

namespace tandem::server {

struct Machine {
  // Numbers of the cores. Never empty.
  std::vector<int> cores;
  // Of each of them: the physical core that it is a thread of, and the NUMA node, both as the
  // kernel counts them. Empty: not known.
  std::vector<int> physical_cores;
  std::vector<int> nodes;
  // Numbers of the visible GPUs, as CUDA counts them.
  std::vector<int> gpus;
  // Physical memory. 0: not known.
  uint64_t memory_bytes = 0;
};

// The NUMA node of all these cores (empty: all of the machine's). Nothing where they are of several
// nodes, or the machine has but one.
std::optional<int> NodeOfAll(const Machine& machine, const std::vector<int>& cores);

// Keeps the calling thread, and those that it starts, to those cores. Empty: leaves it as it is.
// INTERNAL where the kernel does not allow it.
absl::Status UseCores(const std::vector<int>& cores);

// Asks the kernel, /dev and CUDA_VISIBLE_DEVICES.
Machine FindMachine();

}  // namespace tandem::server
