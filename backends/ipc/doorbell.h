// Wakes a thread of the other process that sleeps on shared memory, and costs nothing while that
// thread is awake.
#pragma once

#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

#include "core/adaptive_spin.h"

namespace tandem::ipc {

// Lies in shared memory, zeroed. One thread waits, any number ring.
//
// The order that makes it lose no ring: the ringer writes its data, then the count (seq_cst), then
// looks whether somebody sleeps, and takes that back if it wakes him, so that those who ring before
// he runs again need not; the waiter announces his sleep (seq_cst) each time, looks at the data
// once more, and then sleeps only while the count is what it was before that look. A peer that
// writes nonsense here can delay or wake the waiter for nothing, never corrupt it: so every wait
// ends after `max_wait` at the latest.
class Doorbell {
 public:
  // Wakes the waiter if it sleeps.
  void Ring();
  // The same, also while another thread looks in its place.
  void RingLoudly();

  // The waiter is not woken by Ring from now on, for a thread beside it that looks in its place
  // again and again; and it is woken as ever. What has come before the latter is for that thread to
  // look for once more, and to ring for. A waiter that goes to sleep meanwhile ends the quiet: so
  // Quieten goes with each look.
  void Quieten() {
    if (sleeping_.load(std::memory_order_relaxed) != 0) {
      sleeping_.store(0, std::memory_order_seq_cst);
    }
  }
  void Unquieten() { sleeping_.store(1, std::memory_order_seq_cst); }

  // Returns when `ready()` is true or `max_wait` has passed; spins first as long as `spin` says,
  // whose caller tells it how long that took in the end (nullptr: not at all). True if ready.
  template <typename Ready>
  bool Wait(Ready ready, AdaptiveSpin* spin, std::chrono::nanoseconds max_wait) {
    if (ready()) return true;
    if (spin != nullptr && Spin(ready, *spin)) return true;
    const auto give_up = std::chrono::steady_clock::now() + max_wait;
    bool is_ready = false;
    while (true) {
      sleeping_.store(1, std::memory_order_seq_cst);
      const uint32_t count = count_.load(std::memory_order_seq_cst);
      is_ready = ready();
      const std::chrono::nanoseconds left = give_up - std::chrono::steady_clock::now();
      if (is_ready || left.count() <= 0) break;
      // May end early, by a ring for what an earlier look has found already.
      Sleep(count, left);
    }
    sleeping_.store(0, std::memory_order_seq_cst);
    return is_ready;
  }

 private:
  template <typename Ready>
  static bool Spin(Ready ready, AdaptiveSpin& spin) {
    auto now = std::chrono::steady_clock::now();
    const auto until = now + spin.budget(now);
    while (now < until) {
      for (int i = 0; i < 16; ++i) {
        if (ready()) return true;
        Relax();
      }
      sched_yield();
      const auto before = std::exchange(now, std::chrono::steady_clock::now());
      if (!spin.OnYield(before, now)) break;
    }
    return ready();
  }
  static void Relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  // Sleeps until rung, or `max_wait` has passed, or `count_` differs from `count`.
  void Sleep(uint32_t count, std::chrono::nanoseconds max_wait);

  std::atomic<uint32_t> count_;
  std::atomic<uint32_t> sleeping_;
};

static_assert(std::atomic<uint32_t>::is_always_lock_free);

}  // namespace tandem::ipc
