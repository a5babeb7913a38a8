// A queue of fixed-size entries in shared memory, from one thread of one process to one thread of
// the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace tandem::ipc {

// The ring as it lies in shared memory, zeroed. `head` and `tail` count entries for ever and wrap
// with uint32.
template <typename Entry, uint32_t kCapacity>
struct SpscRing {
  static_assert(std::is_trivially_copyable_v<Entry>);
  static_assert(kCapacity > 0 && (kCapacity & (kCapacity - 1)) == 0, "a power of two");
  static constexpr uint32_t capacity() { return kCapacity; }

  // Entries ever taken, written by the consumer. On a line of its own, as is `tail`, so that the
  // two sides do not pull each other's cache line.
  alignas(64) std::atomic<uint32_t> head;
  // Entries ever put, written by the producer.
  alignas(64) std::atomic<uint32_t> tail;
  alignas(64) Entry entries[kCapacity];
};

// What became of an attempt to put or take. kCorrupt: the other side's counter makes no sense; end
// it.
enum class RingResult { kOk, kEmpty, kFull, kCorrupt };

// The producer's end. It trusts only its own copy of `tail`.
template <typename Ring>
class RingProducer {
 public:
  explicit RingProducer(Ring* ring) : ring_(ring) {}

  template <typename Entry>
  RingResult Put(const Entry& entry) {
    const uint32_t head = ring_->head.load(std::memory_order_acquire);
    const uint32_t used = tail_ - head;
    if (used > Ring::capacity()) return RingResult::kCorrupt;
    if (used == Ring::capacity()) return RingResult::kFull;
    ring_->entries[tail_ % Ring::capacity()] = entry;
    ++tail_;
    ring_->tail.store(tail_, std::memory_order_release);
    return RingResult::kOk;
  }

 private:
  Ring* ring_;
  uint32_t tail_ = 0;
};

// The consumer's end. It trusts only its own copy of `head`, and copies an entry out before it
// looks at it.
template <typename Ring>
class RingConsumer {
 public:
  explicit RingConsumer(Ring* ring) : ring_(ring) {}
  // Before other threads know it.
  RingConsumer(RingConsumer&& other) noexcept
      : ring_(other.ring_), head_(other.head_.load(std::memory_order_relaxed)) {}

  // Also beside the thread that takes.
  bool HasEntry() const {
    return ring_->tail.load(std::memory_order_acquire) != head_.load(std::memory_order_relaxed);
  }

  // By one thread at a time.
  template <typename Entry>
  RingResult Take(Entry& entry) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    const uint32_t tail = ring_->tail.load(std::memory_order_acquire);
    const uint32_t used = tail - head;
    if (used == 0) return RingResult::kEmpty;
    if (used > Ring::capacity()) return RingResult::kCorrupt;
    entry = ring_->entries[head % Ring::capacity()];
    head_.store(head + 1, std::memory_order_relaxed);
    ring_->head.store(head + 1, std::memory_order_release);
    return RingResult::kOk;
  }

 private:
  Ring* ring_;
  std::atomic<uint32_t> head_{0};
};

}  // namespace tandem::ipc
