#include "backends/ipc/doorbell.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::ipc {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Far above what any wake-up takes, far below a test's limit: a lost one shows as a wait that ran
// out.
constexpr seconds kPatience{20};

TEST_CASE("Doorbell does not wait for what is there", "[doorbell]") {
  const auto bell = std::make_unique<Doorbell>();
  CHECK(bell->Wait([] { return true; }, nullptr, kPatience));
}

TEST_CASE("Doorbell gives up after the longest wait", "[doorbell]") {
  const auto bell = std::make_unique<Doorbell>();
  AdaptiveSpin spin(std::chrono::microseconds(10));
  CHECK_FALSE(bell->Wait([] { return false; }, nullptr, milliseconds(1)));
  CHECK_FALSE(bell->Wait([] { return false; }, &spin, milliseconds(1)));
}

TEST_CASE("Doorbell finds by spinning what comes without a ring", "[doorbell]") {
  const auto bell = std::make_unique<Doorbell>();
  AdaptiveSpin spin(kPatience);
  int looks = 0;
  CHECK(bell->Wait([&looks] { return ++looks == 10; }, &spin, nanoseconds(0)));
}

TEST_CASE("A doorbell that another thread looks for wakes its waiter only when rung loudly",
          "[doorbell]") {
  const auto bell = std::make_unique<Doorbell>();
  std::atomic<bool> asleep{false};
  std::atomic<int> news{0};
  std::thread waiter([&] {
    bell->Wait(
        [&] {
          asleep.store(true);
          return news.load() > 0;
        },
        nullptr, std::chrono::hours(1));
  });
  while (!asleep.load()) std::this_thread::yield();
  bell->Quieten();
  news.store(1);
  SECTION("Loudly") { bell->RingLoudly(); }
  SECTION("Once nobody looks any more") {
    bell->Ring();
    bell->Unquieten();
    bell->Ring();
  }
  waiter.join();
}

// Two threads hand a number to and fro, each asleep while it is the other's turn: any lost ring
// would be a wait that runs out.
void PlayPingPong(int rounds, nanoseconds longest_spin) {
  const auto ping = std::make_unique<Doorbell>();
  const auto pong = std::make_unique<Doorbell>();
  std::atomic<int> turn{0};
  std::atomic<int> lost{0};
  std::thread other([&] {
    AdaptiveSpin spin(longest_spin);
    for (int i = 0; i < rounds; ++i) {
      if (!ping->Wait([&] { return turn.load(std::memory_order_acquire) == 2 * i + 1; }, &spin,
                      kPatience)) {
        ++lost;
        return;
      }
      turn.store(2 * i + 2, std::memory_order_release);
      pong->Ring();
    }
  });
  AdaptiveSpin spin(longest_spin);
  for (int i = 0; i < rounds; ++i) {
    turn.store(2 * i + 1, std::memory_order_release);
    ping->Ring();
    if (!pong->Wait([&] { return turn.load(std::memory_order_acquire) == 2 * i + 2; }, &spin,
                    kPatience)) {
      ++lost;
      break;
    }
  }
  other.join();
  CHECK(lost == 0);
  CHECK(turn == 2 * rounds);
}

TEST_CASE("Doorbell loses no ring of a peer that sleeps", "[doorbell]") {
  PlayPingPong(10'000, nanoseconds(0));
}

TEST_CASE("Doorbell loses no ring of a peer that spins", "[doorbell]") {
  PlayPingPong(5'000, std::chrono::microseconds(5));
}

TEST_CASE("Doorbell hears many ringers", "[doorbell]") {
  constexpr int kRingers = 4;
  constexpr int kRings = 2'000;
  const auto bell = std::make_unique<Doorbell>();
  std::atomic<int> rung{0};
  std::vector<std::thread> ringers;
  for (int i = 0; i < kRingers; ++i) {
    ringers.emplace_back([&] {
      for (int n = 0; n < kRings; ++n) {
        rung.fetch_add(1, std::memory_order_release);
        bell->Ring();
      }
    });
  }
  int seen = 0;
  bool in_time = true;
  while (in_time && seen < kRingers * kRings) {
    in_time =
        bell->Wait([&] { return rung.load(std::memory_order_acquire) > seen; }, nullptr, kPatience);
    seen = rung.load(std::memory_order_acquire);
  }
  for (std::thread& ringer : ringers) ringer.join();
  CHECK(in_time);
  CHECK(seen == kRingers * kRings);
}

}  // namespace
}  // namespace tandem::ipc
