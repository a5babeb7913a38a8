#include "server/burst_memory.h"

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

TEST_CASE("Memory is given back once after each burst, when it is over", "[burst_memory]") {
  BurstMemory memory;
  CHECK_FALSE(memory.IsLeft(40'000));
  CHECK_FALSE(memory.IsLeft(4'000));
  CHECK(memory.IsLeft(300));
  CHECK_FALSE(memory.IsLeft(0));
  CHECK_FALSE(memory.IsLeft(2'000));
  CHECK(memory.IsLeft(0));
}

TEST_CASE("An ordinary load is no burst", "[burst_memory]") {
  BurstMemory memory;
  for (const uint64_t requests : {0, 64, 900, 3, 512, 0}) CHECK_FALSE(memory.IsLeft(requests));
}

}  // namespace
}  // namespace tandem::server
