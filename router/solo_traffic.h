// Whether requests come one by one, each once the one before it has its answer, as those of a
// single client's loop. Then what a request waits for is threads that have to be woken, no other
// work wants their cores, and it pays that they look for a request's next step instead of sleeping.
// Where several are in the server at a time the same takes a third of the throughput, so it takes a
// row of single ones, and one that is not ends it. Thread-safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tandem {

class SoloTraffic {
 public:
  static constexpr uint32_t kRow = 64;

  // A request has come. `alone`: no other is in the server.
  void OnArrival(bool alone) {
    const uint32_t before = in_a_row_.load(std::memory_order_relaxed);
    const uint32_t now = alone ? std::min(before + 1, kRow) : 0;
    // The counter's cache line stays where it is while nothing changes.
    if (now != before) in_a_row_.store(now, std::memory_order_relaxed);
  }

  bool is_solo() const { return in_a_row_.load(std::memory_order_relaxed) == kRow; }

 private:
  std::atomic<uint32_t> in_a_row_{0};
};

}  // namespace tandem
