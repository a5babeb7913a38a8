// Where memory lies on a machine whose cores do not reach all of it equally fast (NUMA). What the
// kernel does not allow, as in some containers, stays as it is: it costs speed and nothing else.
#pragma once

#include <cstddef>
#include <optional>

namespace tandem {

// While it lives, the calling thread, and the processes that it starts for all their lives, take
// memory of that node first. One at a time in a thread.
class MemoryNodeScope {
 public:
  // Nothing: leaves all as it is.
  explicit MemoryNodeScope(std::optional<int> node);
  ~MemoryNodeScope();
  MemoryNodeScope(const MemoryNodeScope&) = delete;
  MemoryNodeScope& operator=(const MemoryNodeScope&) = delete;

 private:
  bool chosen_ = false;
};

// Pages of that mapping that are not there yet come from the node, whoever writes to them first.
// True where the kernel agreed.
bool PlaceOnNode(const void* data, size_t bytes, int node);

}  // namespace tandem
