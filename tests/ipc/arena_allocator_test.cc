#include "backends/ipc/arena_allocator.h"

#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::ipc {
namespace {

constexpr size_t kUnit = ArenaAllocator::kAlignment;

TEST_CASE("ArenaAllocator hands out whole units, also for nothing", "[arena]") {
  ArenaAllocator arena(10 * kUnit);
  CHECK(arena.Allocate(0) == 0u);
  CHECK(arena.Allocate(1) == kUnit);
  CHECK(arena.Allocate(kUnit + 1) == 2 * kUnit);
  CHECK(arena.used() == 4 * kUnit);
}

TEST_CASE("ArenaAllocator refuses what does not fit and stays as it was", "[arena]") {
  ArenaAllocator arena(4 * kUnit);
  REQUIRE(arena.Allocate(3 * kUnit).has_value());
  CHECK_FALSE(arena.Allocate(2 * kUnit).has_value());
  CHECK_FALSE(arena.Allocate(SIZE_MAX).has_value());
  CHECK_FALSE(arena.Allocate(SIZE_MAX - 1).has_value());
  CHECK(arena.used() == 3 * kUnit);
  CHECK(arena.Allocate(kUnit).has_value());
}

TEST_CASE("ArenaAllocator of less than a unit holds nothing", "[arena]") {
  ArenaAllocator arena(kUnit - 1);
  CHECK(arena.capacity() == 0);
  CHECK_FALSE(arena.Allocate(0).has_value());
}

TEST_CASE("ArenaAllocator refuses to free what is not the start of a range", "[arena]") {
  ArenaAllocator arena(4 * kUnit);
  const auto offset = arena.Allocate(2 * kUnit);
  REQUIRE(offset.has_value());
  CHECK_FALSE(arena.Free(*offset + kUnit));
  CHECK_FALSE(arena.Free(3 * kUnit));
  CHECK(arena.Free(*offset));
  CHECK_FALSE(arena.Free(*offset));
  CHECK(arena.used() == 0);
}

TEST_CASE("ArenaAllocator joins freed neighbours in any order", "[arena]") {
  std::vector<size_t> order = {0, 1, 2};
  do {
    ArenaAllocator arena(3 * kUnit);
    std::vector<uint64_t> offsets;
    for (int i = 0; i < 3; ++i) offsets.push_back(arena.Allocate(kUnit).value());
    for (const size_t i : order) REQUIRE(arena.Free(offsets[i]));
    CHECK(arena.Allocate(3 * kUnit).has_value());
  } while (std::next_permutation(order.begin(), order.end()));
}

uint64_t EndOf(const std::pair<const uint64_t, size_t>& range) {
  return range.first + range.second;
}

// One step: takes `bytes`, or where that is 0 gives the `pick`-th live range back.
void CheckSteps(const std::vector<std::pair<size_t, size_t>>& steps, size_t capacity) {
  ArenaAllocator arena(capacity);
  std::map<uint64_t, size_t> live;
  size_t live_bytes = 0;
  for (const auto& [bytes, pick] : steps) {
    if (bytes == 0) {
      if (live.empty()) continue;
      const auto range = std::next(live.begin(), static_cast<long>(pick % live.size()));
      RC_ASSERT(arena.Free(range->first));
      live_bytes -= range->second;
      live.erase(range);
    } else if (const auto offset = arena.Allocate(bytes)) {
      RC_ASSERT(*offset % kUnit == 0u);
      RC_ASSERT(*offset + bytes <= arena.capacity());
      const auto next = live.lower_bound(*offset);
      // In brackets of their own: RC_ASSERT takes an expression apart, and || would not stop early.
      RC_ASSERT((next == live.end() || *offset + bytes <= next->first));
      RC_ASSERT((next == live.begin() || EndOf(*std::prev(next)) <= *offset));
      const size_t taken = (bytes + kUnit - 1) / kUnit * kUnit;
      live[*offset] = taken;
      live_bytes += taken;
    }
    RC_ASSERT(arena.used() == live_bytes);
  }
  for (const auto& [offset, bytes] : live) RC_ASSERT(arena.Free(offset));
  RC_ASSERT(arena.used() == 0u);
  // Everything is one free range again.
  RC_ASSERT((arena.capacity() == 0u || arena.Allocate(arena.capacity()).has_value()));
}

TEST_CASE("ArenaAllocator's ranges never overlap and all come back", "[arena][property]") {
  CHECK(rc::check([] {
    const auto capacity = *rc::gen::inRange<size_t>(0, 256 * kUnit);
    const auto steps = *rc::gen::container<std::vector<std::pair<size_t, size_t>>>(rc::gen::pair(
        rc::gen::weightedOneOf<size_t>(
            {{2, rc::gen::just<size_t>(0)}, {3, rc::gen::inRange<size_t>(1, 40 * kUnit)}}),
        rc::gen::inRange<size_t>(0, 1000)));
    CheckSteps(steps, capacity);
  }));
}

}  // namespace
}  // namespace tandem::ipc
