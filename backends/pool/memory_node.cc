#include "backends/pool/memory_node.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tandem {
namespace {

// One bit for each node.
constexpr int kMostNodes = 64;

bool IsNode(int node) { return node >= 0 && node < kMostNodes; }

// glibc has no wrappers, and libnuma would be a library for two calls. The kernel reads one bit
// less than it is told.
bool SetPolicy(int mode, unsigned long nodes) {
  return syscall(SYS_set_mempolicy, mode, &nodes, kMostNodes + 1) == 0;
}

}  // namespace

// Preferred rather than bound: a full node makes memory slow, not scarce.
MemoryNodeScope::MemoryNodeScope(std::optional<int> node) {
  if (node.has_value() && IsNode(*node)) chosen_ = SetPolicy(MPOL_PREFERRED, 1UL << *node);
}

MemoryNodeScope::~MemoryNodeScope() {
  if (chosen_) SetPolicy(MPOL_DEFAULT, 0);
}

bool PlaceOnNode(const void* data, size_t bytes, int node) {
  if (!IsNode(node)) return false;
  const unsigned long nodes = 1UL << node;
  return syscall(SYS_mbind, data, bytes, MPOL_PREFERRED, &nodes, kMostNodes + 1, 0) == 0;
}

}  // namespace tandem
