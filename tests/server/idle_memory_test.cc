#include "server/idle_memory.h"

#include <algorithm>

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

// How many looks pass, at so much, until it is to be given back.
int LooksUntilWorthwhile(IdleMemory& memory, uint64_t resident_bytes) {
  int looks = 1;
  while (!memory.IsWorthwhile(resident_bytes)) {
    REQUIRE(looks < 1000);
    ++looks;
  }
  return looks;
}

TEST_CASE("What is in use is tried again more and more seldom", "[idle_memory]") {
  IdleMemory memory;
  CHECK_FALSE(memory.IsWorthwhile(25 * kMiB));
  int before = LooksUntilWorthwhile(memory, 900 * kMiB);
  CHECK(before == 2);
  for (int time = 0; time < 10; ++time) {
    memory.OnGivenBack(895 * kMiB);
    const int looks = LooksUntilWorthwhile(memory, 900 * kMiB);
    CHECK(looks >= std::min(2 * before - 1, IdleMemory::kLastDoubt));
    before = looks;
  }
  CHECK(before <= IdleMemory::kLastDoubt + 2);
}

TEST_CASE("What was in use when memory was given back is given back later", "[idle_memory]") {
  IdleMemory memory;
  CHECK_FALSE(memory.IsWorthwhile(25 * kMiB));
  LooksUntilWorthwhile(memory, 45 * kMiB);
  memory.OnGivenBack(43 * kMiB);
  CHECK(LooksUntilWorthwhile(memory, 43 * kMiB) < 10);
  memory.OnGivenBack(26 * kMiB);
  for (int look = 0; look < 1000; ++look) CHECK_FALSE(memory.IsWorthwhile(27 * kMiB));
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
