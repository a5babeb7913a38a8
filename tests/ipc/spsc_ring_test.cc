#include "backends/ipc/spsc_ring.h"

#include <rapidcheck.h>

#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::ipc {
namespace {

struct Entry {
  uint64_t number;
  uint64_t check;
};

using Ring = SpscRing<Entry, 8>;

Entry MakeEntry(uint64_t number) { return {number, ~number}; }

TEST_CASE("SpscRing gives entries back in order", "[ring]") {
  const auto ring = std::make_unique<Ring>();
  RingProducer producer(ring.get());
  RingConsumer consumer(ring.get());
  CHECK_FALSE(consumer.HasEntry());
  for (uint64_t i = 0; i < 3; ++i) REQUIRE(producer.Put(MakeEntry(i)) == RingResult::kOk);
  CHECK(consumer.HasEntry());
  Entry entry{};
  for (uint64_t i = 0; i < 3; ++i) {
    REQUIRE(consumer.Take(entry) == RingResult::kOk);
    CHECK(entry.number == i);
  }
  CHECK(consumer.Take(entry) == RingResult::kEmpty);
}

TEST_CASE("SpscRing is full at its capacity and takes again after one was taken", "[ring]") {
  const auto ring = std::make_unique<Ring>();
  RingProducer producer(ring.get());
  RingConsumer consumer(ring.get());
  for (uint64_t i = 0; i < Ring::capacity(); ++i) {
    REQUIRE(producer.Put(MakeEntry(i)) == RingResult::kOk);
  }
  CHECK(producer.Put(MakeEntry(99)) == RingResult::kFull);
  Entry entry{};
  REQUIRE(consumer.Take(entry) == RingResult::kOk);
  CHECK(producer.Put(MakeEntry(99)) == RingResult::kOk);
}

TEST_CASE("SpscRing's consumer finds a tail that its producer cannot have written", "[ring]") {
  const auto ring = std::make_unique<Ring>();
  RingConsumer consumer(ring.get());
  Entry entry{};
  const uint32_t bad = GENERATE(Ring::capacity() + 1, 1000u, 0x80000000u, 0xffffffffu);
  CAPTURE(bad);
  ring->tail.store(bad);
  CHECK(consumer.Take(entry) == RingResult::kCorrupt);
}

TEST_CASE("SpscRing's producer finds a head that its consumer cannot have written", "[ring]") {
  const auto ring = std::make_unique<Ring>();
  RingProducer producer(ring.get());
  REQUIRE(producer.Put(MakeEntry(0)) == RingResult::kOk);
  // Ahead of the tail, or so far behind that more than the capacity would be in it.
  const uint32_t bad = GENERATE(2u, 1000u, 0x80000000u, 0xffffffffu - Ring::capacity());
  CAPTURE(bad);
  ring->head.store(bad);
  CHECK(producer.Put(MakeEntry(1)) == RingResult::kCorrupt);
}

TEST_CASE("SpscRing trusts neither side's own counter in shared memory", "[ring]") {
  const auto ring = std::make_unique<Ring>();
  RingProducer producer(ring.get());
  RingConsumer consumer(ring.get());
  // The consumer's process scribbles over the producer's tail: the producer goes on from its own.
  ring->tail.store(12345);
  REQUIRE(producer.Put(MakeEntry(7)) == RingResult::kOk);
  CHECK(ring->tail.load() == 1);
  Entry entry{};
  REQUIRE(consumer.Take(entry) == RingResult::kOk);
  CHECK(entry.number == 7);
}

TEST_CASE("SpscRing behaves as a bounded queue", "[ring][property]") {
  CHECK(rc::check([](const std::vector<bool>& puts) {
    const auto ring = std::make_unique<Ring>();
    RingProducer producer(ring.get());
    RingConsumer consumer(ring.get());
    std::deque<uint64_t> model;
    uint64_t next = 0;
    for (const bool put : puts) {
      if (put) {
        const bool fits = model.size() < Ring::capacity();
        RC_ASSERT(producer.Put(MakeEntry(next)) == (fits ? RingResult::kOk : RingResult::kFull));
        if (fits) model.push_back(next);
        ++next;
      } else {
        Entry entry{};
        const RingResult taken = consumer.Take(entry);
        RC_ASSERT(taken == (model.empty() ? RingResult::kEmpty : RingResult::kOk));
        if (model.empty()) continue;
        RC_ASSERT(entry.number == model.front());
        model.pop_front();
      }
      RC_ASSERT(consumer.HasEntry() == !model.empty());
    }
  }));
}

TEST_CASE("SpscRing loses, repeats and tears nothing between two threads", "[ring]") {
  constexpr uint64_t kEntries = 200'000;
  const auto ring = std::make_unique<Ring>();
  std::thread writer([&ring] {
    RingProducer producer(ring.get());
    for (uint64_t i = 0; i < kEntries;) {
      if (producer.Put(MakeEntry(i)) == RingResult::kOk) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  RingConsumer consumer(ring.get());
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < kEntries;) {
    Entry entry{};
    if (consumer.Take(entry) != RingResult::kOk) {
      std::this_thread::yield();
      continue;
    }
    if (entry.number != i || entry.check != ~i) ++wrong;
    ++i;
  }
  writer.join();
  CHECK(wrong == 0);
  CHECK_FALSE(consumer.HasEntry());
}

}  // namespace
}  // namespace tandem::ipc
