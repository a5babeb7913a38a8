#include "router/queue_shares.h"

#include <array>

#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("A client that fills the queue leaves its last quarter to others", "[shares]") {
  QueueShares shares;
  size_t taken = 0;
  while (shares.MayWait(1, 100)) {
    shares.Add(1, 10);
    ++taken;
  }
  CHECK(taken == 75);
  CHECK(shares.bytes() == 750);
  while (shares.MayWait(2, 100)) {
    shares.Add(2, 10);
    ++taken;
  }
  CHECK(taken == 100);
}

TEST_CASE("Clients that all want more than there is come to equal shares", "[shares]") {
  constexpr size_t kMost = 120;
  QueueShares shares;
  std::array<size_t, 4> waiting{};
  // The first has the queue for itself for a while; then one request at a time goes, the oldest
  // client's first, and all clients try for its place in turn.
  while (shares.MayWait(1, kMost)) {
    shares.Add(1, 1);
    ++waiting[1];
  }
  for (size_t turn = 0; turn < 2000; ++turn) {
    size_t largest = 1;
    for (size_t client = 1; client < waiting.size(); ++client) {
      if (waiting[client] > waiting[largest]) largest = client;
    }
    shares.Remove(largest, 1);
    --waiting[largest];
    // The greedy one tries first, each time.
    for (size_t client = 1; client < waiting.size(); ++client) {
      if (!shares.MayWait(client, kMost)) continue;
      shares.Add(client, 1);
      ++waiting[client];
    }
  }
  for (size_t client = 1; client < waiting.size(); ++client) {
    CHECK(waiting[client] >= kMost / 4);
    CHECK(waiting[client] <= kMost / 2);
  }
}

TEST_CASE("Beside others a client has its share, or less", "[shares]") {
  QueueShares shares;
  CHECK_FALSE(shares.HasItsShare(1));
  shares.Add(1, 1);
  // It is alone.
  CHECK_FALSE(shares.HasItsShare(1));
  shares.Add(1, 1);
  shares.Add(2, 1);
  CHECK(shares.HasItsShare(1));
  CHECK_FALSE(shares.HasItsShare(2));
  CHECK_FALSE(shares.HasItsShare(3));
  CHECK_FALSE(shares.HasItsShare(0));
}

TEST_CASE("Who is not known may wait while there is room, and a small queue has no reserve",
          "[shares]") {
  QueueShares shares;
  for (int i = 0; i < 4; ++i) {
    CHECK(shares.MayWait(0, 4));
    shares.Add(0, 1);
  }
  CHECK_FALSE(shares.MayWait(0, 4));
  QueueShares small;
  small.Add(1, 1);
  CHECK(small.MayWait(1, 2));
  small.Add(1, 1);
  CHECK_FALSE(small.MayWait(2, 2));
  small.Remove(1, 1);
  small.Remove(1, 1);
  CHECK(small.bytes() == 0);
}

}  // namespace
}  // namespace tandem
