#include "backends/pool/memory_node.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>

#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr size_t kBytes = 1 << 16;

// Of the calling thread, or of the mapping at the address. Nothing where the kernel keeps none.
std::optional<int> Policy(void* address = nullptr) {
  int mode = -1;
  const unsigned long flags = address == nullptr ? 0 : MPOL_F_ADDR;
  if (syscall(SYS_get_mempolicy, &mode, nullptr, 0, address, flags) != 0) return std::nullopt;
  return mode;
}

}  // namespace

TEST_CASE("A thread prefers the chosen node's memory for a while", "[memory_node]") {
  // A kernel without NUMA, or a container that forbids it, leaves nothing to see.
  const auto before = Policy();
  if (!before.has_value()) return;
  {
    const MemoryNodeScope scope(0);
    CHECK((Policy() == MPOL_PREFERRED || Policy() == before));
  }
  CHECK(Policy() == MPOL_DEFAULT);
  {
    const MemoryNodeScope scope(std::nullopt);
    CHECK(Policy() == MPOL_DEFAULT);
  }
}

TEST_CASE("A mapping is placed on a node", "[memory_node]") {
  void* const memory =
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  if (PlaceOnNode(memory, kBytes, 0)) CHECK(Policy(memory) == MPOL_PREFERRED);
  munmap(memory, kBytes);
}

TEST_CASE("A node that cannot be is passed over", "[memory_node]") {
  for (const int node : {-1, 64, 1'000'000}) {
    const MemoryNodeScope scope(node);
    CHECK((!Policy().has_value() || Policy() == MPOL_DEFAULT));
    CHECK_FALSE(PlaceOnNode(nullptr, 0, node));
  }
}

}  // namespace tandem
