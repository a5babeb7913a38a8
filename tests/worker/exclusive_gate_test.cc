#include "backends/worker/exclusive_gate.h"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::worker {

TEST_CASE("Many are inside a gate together, and one that is alone is alone") {
  ExclusiveGate gate;
  std::atomic<int> inside{0};
  std::atomic<bool> alone{false};
  std::atomic<bool> broken{false};
  std::atomic<bool> done{false};
  std::vector<std::thread> flow;
  for (int i = 0; i < 3; ++i) {
    flow.emplace_back([&] {
      while (!done.load()) {
        const auto lock = gate.Enter();
        ++inside;
        if (alone.load()) broken = true;
        std::this_thread::yield();
        --inside;
      }
    });
  }
  // Ends only if a steady flow does not keep it out.
  for (int i = 0; i < 50; ++i) {
    const auto lock = gate.EnterAlone();
    alone = true;
    if (inside.load() != 0) broken = true;
    alone = false;
  }
  done = true;
  for (std::thread& each : flow) each.join();
  CHECK_FALSE(broken.load());
}

TEST_CASE("Two are inside a gate at the same time") {
  ExclusiveGate gate;
  const auto first = gate.Enter();
  std::thread([&gate] { const auto second = gate.Enter(); }).join();
  CHECK(first.owns_lock());
}

}  // namespace tandem::worker
