#include "backends/worker/output_arena.h"

#include <memory>
#include <set>
#include <thread>

#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr nanoseconds kNoWait{0};
constexpr std::chrono::seconds kPatience{20};

struct Fixture {
  explicit Fixture(size_t bytes) : memory(bytes), arena(absl::MakeSpan(memory), board.get()) {}

  void Release(uint32_t slot) const {
    board->released[slot].store(1, std::memory_order_release);
    board->bell.Ring();
  }

  std::vector<std::byte> memory;
  std::unique_ptr<ipc::ReleaseBoard> board = std::make_unique<ipc::ReleaseBoard>();
  OutputArena arena;
};

TEST_CASE("OutputArena gives blocks that lie apart, each with a slot of its own", "[outputs]") {
  Fixture fixture(1024);
  const auto first = fixture.arena.Allocate(100, kNoWait);
  const auto second = fixture.arena.Allocate(100, kNoWait);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(first->slot != second->slot);
  CHECK(second->offset >= first->offset + 100);
  CHECK(second->data == fixture.memory.data() + second->offset);
  CHECK(fixture.arena.used() == 256);
}

TEST_CASE("OutputArena marks a slot as held before it gives it out", "[outputs]") {
  Fixture fixture(1024);
  for (auto& slot : fixture.board->released) slot.store(1);
  const auto block = fixture.arena.Allocate(64, kNoWait);
  REQUIRE(block.ok());
  CHECK(fixture.board->released[block->slot].load() == 0);
}

TEST_CASE("OutputArena takes released blocks back in any order", "[outputs]") {
  Fixture fixture(4 * 64);
  std::vector<uint32_t> slots;
  for (int i = 0; i < 4; ++i) slots.push_back(fixture.arena.Allocate(64, kNoWait)->slot);
  CHECK(absl::IsResourceExhausted(fixture.arena.Allocate(64, kNoWait).status()));
  fixture.Release(slots[2]);
  CHECK(fixture.arena.Allocate(64, kNoWait).ok());
  CHECK(absl::IsResourceExhausted(fixture.arena.Allocate(64, kNoWait).status()));
  for (const int i : {3, 0, 1}) fixture.Release(slots[i]);
  CHECK(fixture.arena.Allocate(64, kNoWait).ok());
  CHECK(fixture.arena.used() == 2 * 64);
}

TEST_CASE("OutputArena refuses at once what it could never hold", "[outputs]") {
  Fixture fixture(256);
  CHECK(absl::IsResourceExhausted(fixture.arena.Allocate(257, kPatience).status()));
  CHECK(absl::IsResourceExhausted(fixture.arena.Allocate(SIZE_MAX, kPatience).status()));
}

TEST_CASE("OutputArena gives up when nothing is released in time", "[outputs]") {
  Fixture fixture(64);
  REQUIRE(fixture.arena.Allocate(64, kNoWait).ok());
  CHECK(absl::IsResourceExhausted(fixture.arena.Allocate(64, milliseconds(2)).status()));
}

TEST_CASE("OutputArena waits for a release", "[outputs]") {
  Fixture fixture(64);
  for (int round = 0; round < 500; ++round) {
    const auto held = fixture.arena.Allocate(64, kPatience);
    REQUIRE(held.ok());
    std::thread server([&fixture, slot = held->slot] { fixture.Release(slot); });
    const auto next = fixture.arena.Allocate(64, kPatience);
    server.join();
    REQUIRE(next.ok());
    fixture.arena.Discard(next->slot);
  }
}

TEST_CASE("OutputArena has no more blocks out than there are slots", "[outputs]") {
  Fixture fixture(64 * (ipc::kOutputSlots + 10));
  std::set<uint32_t> slots;
  for (uint32_t i = 0; i < ipc::kOutputSlots; ++i) {
    const auto block = fixture.arena.Allocate(1, kNoWait);
    REQUIRE(block.ok());
    slots.insert(block->slot);
  }
  CHECK(slots.size() == ipc::kOutputSlots);
  CHECK(*slots.rbegin() == ipc::kOutputSlots - 1);
  CHECK(absl::IsResourceExhausted(fixture.arena.Allocate(1, kNoWait).status()));
  fixture.Release(1234);
  const auto block = fixture.arena.Allocate(1, kNoWait);
  REQUIRE(block.ok());
  CHECK(block->slot == 1234);
}

TEST_CASE("OutputArena takes a block that was not announced back at once", "[outputs]") {
  Fixture fixture(64);
  const auto block = fixture.arena.Allocate(64, kNoWait);
  REQUIRE(block.ok());
  fixture.arena.Discard(block->slot);
  CHECK(fixture.arena.used() == 0);
  CHECK(fixture.arena.Allocate(64, kNoWait).ok());
}

TEST_CASE("OutputArena lets several lanes share a small arena", "[outputs]") {
  Fixture fixture(3 * 64);
  std::vector<std::thread> lanes;
  std::atomic<int> failed{0};
  for (int lane = 0; lane < 4; ++lane) {
    lanes.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const auto block = fixture.arena.Allocate(64, kPatience);
        if (!block.ok()) {
          ++failed;
          return;
        }
        fixture.Release(block->slot);
      }
    });
  }
  for (std::thread& lane : lanes) lane.join();
  CHECK(failed == 0);
}

}  // namespace
}  // namespace tandem::worker
