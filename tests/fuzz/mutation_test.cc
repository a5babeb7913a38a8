// Runs each target on its seeds and on a bounded number of random changes of them, always the same
// ones.
#include <algorithm>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "tests/fuzz/targets.h"
#include "tests/support/catch.h"

namespace tandem::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;

// Numbers at which arithmetic tends to break.
constexpr uint64_t kEdges[] = {0,
                               1,
                               7,
                               8,
                               63,
                               64,
                               0x7f,
                               0x80,
                               0xff,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               0x7fffffffffffffff,
                               0x8000000000000000,
                               0xffffffffffffffff};

class Mutator {
 public:
  Bytes Mutate(Bytes bytes) {
    for (size_t changes = Below(4) + 1; changes > 0; --changes) Change(bytes);
    return bytes;
  }

 private:
  void Change(Bytes& bytes) {
    if (bytes.empty()) {
      bytes.push_back(static_cast<uint8_t>(random_()));
      return;
    }
    const size_t at = Below(bytes.size());
    switch (Below(5)) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1u << Below(8));
        break;
      case 1:
        WriteEdge(bytes, at);
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.insert(bytes.begin() + static_cast<long>(at), static_cast<uint8_t>(random_()));
        break;
      default:
        bytes[at] = static_cast<uint8_t>(random_());
    }
  }

  void WriteEdge(Bytes& bytes, size_t at) {
    const uint64_t edge = kEdges[Below(std::size(kEdges))];
    const size_t width = std::min<size_t>(Below(2) == 0 ? 4 : 8, bytes.size() - at);
    for (size_t i = 0; i < width; ++i) bytes[at + i] = static_cast<uint8_t>(edge >> (8 * i));
  }

  size_t Below(size_t limit) { return static_cast<size_t>(random_() % limit); }

  std::mt19937_64 random_{20};
};

constexpr size_t kDescendants = 64;

// A broken promise aborts the program, which is the failure of the test.
void Fuzz(const Target& target, size_t rounds) {
  INFO(target.name);
  REQUIRE_FALSE(target.seeds.empty());
  Mutator mutator;
  std::vector<Bytes> pool = target.seeds;
  pool.resize(pool.size() + kDescendants, target.seeds.back());
  for (const Bytes& seed : target.seeds) target.run(seed);
  for (size_t round = 0; round < rounds; ++round) {
    Bytes bytes = mutator.Mutate(pool[round % pool.size()]);
    target.run(bytes);
    // Some go on as seeds in the place of others, so that changes add up.
    if (round % 16 == 0) pool[target.seeds.size() + round / 16 % kDescendants] = std::move(bytes);
  }
}

TEST_CASE("No bytes of a tensor record break its reader", "[fuzz]") {
  Fuzz(TensorRecord(), 50'000);
}

TEST_CASE("No completion of a worker breaks the server's check", "[fuzz]") {
  Fuzz(Completion(), 50'000);
}

TEST_CASE("No packet on the control socket breaks its receiver", "[fuzz]") {
  Fuzz(ControlPacket(), 5'000);
}

}  // namespace
}  // namespace tandem::fuzz
