#include "backends/ipc/region_layout.h"

#include <cstddef>
#include <cstdint>

#include "tests/support/catch.h"

namespace tandem::ipc {
namespace {

// docs/worker_protocol.md prints these numbers. One that changes is a change of the protocol's
// version.
TEST_CASE("The layout of the control region is the one that is documented", "[layout]") {
  CHECK(kProtocolVersion == 4);
  CHECK(sizeof(Doorbell) == 8);

  CHECK(sizeof(SubmitEntry) == 32);
  CHECK(offsetof(SubmitEntry, batch_id) == 0);
  CHECK(offsetof(SubmitEntry, model_handle) == 8);
  CHECK(offsetof(SubmitEntry, rows) == 12);
  CHECK(offsetof(SubmitEntry, record_offset) == 16);
  CHECK(offsetof(SubmitEntry, record_bytes) == 24);

  CHECK(sizeof(CompletionEntry) == 40);
  CHECK(offsetof(CompletionEntry, batch_id) == 0);
  CHECK(offsetof(CompletionEntry, status_code) == 8);
  CHECK(offsetof(CompletionEntry, output_slot) == 12);
  CHECK(offsetof(CompletionEntry, record_offset) == 16);
  CHECK(offsetof(CompletionEntry, record_bytes) == 24);
  CHECK(offsetof(CompletionEntry, compute_ns) == 32);

  CHECK(sizeof(SubmitRing) == 640);
  CHECK(offsetof(SubmitRing, head) == 0);
  CHECK(offsetof(SubmitRing, tail) == 64);
  CHECK(offsetof(SubmitRing, entries) == 128);
  CHECK(sizeof(CompletionRing) == 768);

  CHECK(sizeof(LaneRings) == 1472);
  CHECK(offsetof(LaneRings, submit) == 0);
  CHECK(offsetof(LaneRings, completion) == 640);
  CHECK(offsetof(LaneRings, submitted) == 1408);

  CHECK(sizeof(ReleaseBoard) == 16448);
  CHECK(offsetof(ReleaseBoard, bell) == 16384);
  CHECK(sizeof(ControlRegion) == 16512);
  CHECK(offsetof(ControlRegion, completed) == 0);
  CHECK(offsetof(ControlRegion, board) == 64);
}

TEST_CASE("The lanes lie one after the other behind the release board", "[layout]") {
  std::byte* const base = nullptr;
  for (uint32_t lane = 0; lane < kMaxLanes; ++lane) {
    const auto at = reinterpret_cast<uintptr_t>(LaneAt(base, lane));
    REQUIRE(at == 16512 + lane * 1472);
    REQUIRE(at % alignof(LaneRings) == 0);
    REQUIRE(at + sizeof(LaneRings) == ControlRegionBytes(lane + 1));
  }
}

}  // namespace
}  // namespace tandem::ipc
