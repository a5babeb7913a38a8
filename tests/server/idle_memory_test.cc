#include "server/idle_memory.h"

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST_CASE("Memory is given back where much more than before is taken for a while",
          "[idle_memory]") {
  IdleMemory memory;
  CHECK_FALSE(memory.IsWorthwhile(25 * kMiB));
  CHECK_FALSE(memory.IsWorthwhile(60 * kMiB));
  CHECK(memory.IsWorthwhile(60 * kMiB));
  memory.OnGivenBack(27 * kMiB);
  CHECK_FALSE(memory.IsWorthwhile(28 * kMiB));
  CHECK_FALSE(memory.IsWorthwhile(28 * kMiB));
}

TEST_CASE("What is in use is not tried again and again", "[idle_memory]") {
  IdleMemory memory;
  CHECK_FALSE(memory.IsWorthwhile(25 * kMiB));
  CHECK_FALSE(memory.IsWorthwhile(900 * kMiB));
  CHECK(memory.IsWorthwhile(900 * kMiB));
  memory.OnGivenBack(895 * kMiB);
  for (int look = 0; look < 5; ++look) CHECK_FALSE(memory.IsWorthwhile(900 * kMiB));
}

TEST_CASE("A moment's memory is no reason, and less than before is the new measure",
          "[idle_memory]") {
  IdleMemory memory;
  CHECK_FALSE(memory.IsWorthwhile(30 * kMiB));
  CHECK_FALSE(memory.IsWorthwhile(90 * kMiB));
  CHECK_FALSE(memory.IsWorthwhile(20 * kMiB));
  CHECK_FALSE(memory.IsWorthwhile(29 * kMiB));
  CHECK(memory.IsWorthwhile(29 * kMiB));
}

}  // namespace
}  // namespace tandem::server
