#include "router/lane_table.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

std::unique_ptr<ScheduledBatch> BatchFor(LaneId lane, uint64_t id,
                                         Duration predicted = milliseconds(1)) {
  auto batch = std::make_unique<ScheduledBatch>();
  batch->batch.id = id;
  batch->lane = lane;
  batch->predicted = predicted;
  return batch;
}

// One pool of two workers with two lanes each.
LaneTable TwoWorkers() {
  LaneTable lanes;
  lanes.AddPool(PoolKind::kCpu, {0, 0, 1, 1});
  for (Lane& lane : lanes.lanes(0)) lane.up = true;
  return lanes;
}

TEST_CASE("A lane is reckoned free when its batches are predicted to end", "[lanes]") {
  LaneTable lanes = TwoWorkers();
  lanes.Start(kStart, BatchFor({0, 0}, 1, milliseconds(2)));
  lanes.Start(kStart, BatchFor({0, 0}, 2, milliseconds(3)));
  CHECK(lanes.lane({0, 0}).busy_until == kStart + milliseconds(5));
  Duration ran{0};
  CHECK(lanes.End(kStart + milliseconds(4), {0, 0}, 1, &ran) != nullptr);
  CHECK(ran == milliseconds(4));
  CHECK(lanes.lane({0, 0}).busy_until == kStart + milliseconds(7));
  // The second one had the lane for itself since the first one ended.
  CHECK(lanes.End(kStart + milliseconds(6), {0, 0}, 2, &ran) != nullptr);
  CHECK(ran == milliseconds(2));
}

TEST_CASE("A batch that does not run cannot end", "[lanes]") {
  LaneTable lanes = TwoWorkers();
  lanes.Start(kStart, BatchFor({0, 0}, 1));
  Duration ran{0};
  CHECK(lanes.End(kStart, {0, 0}, 2, &ran) == nullptr);
  CHECK(lanes.End(kStart, {0, 1}, 1, &ran) == nullptr);
  CHECK(lanes.Find({0, 0}, 1) != nullptr);
  CHECK(lanes.Find({0, 0}, 2) == nullptr);
  CHECK_FALSE(lanes.Has({1, 0}));
  CHECK_FALSE(lanes.Has({0, 4}));
}

TEST_CASE("A full worker is closed until one of its batches ends", "[lanes]") {
  LaneTable lanes = TwoWorkers();
  lanes.Start(kStart, BatchFor({0, 0}, 1));
  lanes.Start(kStart, BatchFor({0, 1}, 2));
  std::unique_ptr<ScheduledBatch> refused;
  CHECK(lanes.Refused(kStart, {0, 1}, 2, &refused));
  CHECK(refused->batch.id == 2);
  CHECK_FALSE(lanes.IsOpen(lanes.lane({0, 0})));
  CHECK_FALSE(lanes.IsOpen(lanes.lane({0, 1})));
  CHECK(lanes.IsOpen(lanes.lane({0, 2})));
  Duration ran{0};
  lanes.End(kStart, {0, 0}, 1, &ran);
  CHECK(lanes.IsOpen(lanes.lane({0, 1})));
}

TEST_CASE("A batch that was refused behind another one leaves that one's times as they were",
          "[lanes]") {
  LaneTable lanes = TwoWorkers();
  for (const uint64_t id : {1u, 2u}) {
    auto batch = BatchFor({0, 0}, id);
    batch->predicted = std::chrono::milliseconds(10);
    lanes.Start(kStart, std::move(batch));
  }
  const Lane& lane = lanes.lane({0, 0});
  const TimePoint later = kStart + std::chrono::milliseconds(9);
  std::unique_ptr<ScheduledBatch> taken;
  Duration ran{0};
  SECTION("by the arena, so that it is tried again after that one, and other lanes are open") {
    CHECK(lanes.Refused(later, {0, 0}, 2, &taken));
    CHECK(lane.has_no_room_behind);
    CHECK(lanes.IsOpen(lanes.lane({0, 1})));
  }
  SECTION("for good") { taken = lanes.End(later, {0, 0}, 2, &ran); }
  CHECK(taken->batch.id == 2);
  CHECK(lane.busy_until == kStart + std::chrono::milliseconds(10));
  CHECK(LaneTable::RunsSince(lane) == kStart);
  const TimePoint end = kStart + std::chrono::milliseconds(11);
  taken = lanes.End(end, {0, 0}, 1, &ran);
  REQUIRE(taken != nullptr);
  CHECK(ran == std::chrono::milliseconds(11));
  CHECK_FALSE(lane.has_no_room_behind);
}

TEST_CASE("A batch that an idle worker refuses is not tried again", "[lanes]") {
  LaneTable lanes = TwoWorkers();
  lanes.Start(kStart, BatchFor({0, 2}, 1));
  lanes.Start(kStart, BatchFor({0, 0}, 2));
  std::unique_ptr<ScheduledBatch> refused;
  // What the other worker runs makes no room in this one.
  CHECK_FALSE(lanes.Refused(kStart, {0, 0}, 2, &refused));
  CHECK(lanes.IsOpen(lanes.lane({0, 0})));
}

TEST_CASE("A batch is tried again where another ended while it was refused", "[lanes]") {
  LaneTable lanes = TwoWorkers();
  lanes.Start(kStart, BatchFor({0, 0}, 1));
  lanes.Start(kStart, BatchFor({0, 1}, 2));
  Duration ran{0};
  lanes.End(kStart, {0, 0}, 1, &ran);
  std::unique_ptr<ScheduledBatch> refused;
  CHECK(lanes.Refused(kStart, {0, 1}, 2, &refused));
  CHECK(lanes.IsOpen(lanes.lane({0, 1})));
}

TEST_CASE("A worker rests again when it is back, and not at each later load", "[lanes]") {
  LaneTable lanes = TwoWorkers();
  lanes.BeginRest(kStart, lanes.lane({0, 0}), milliseconds(10));
  CHECK(lanes.Rests(kStart + milliseconds(9), lanes.lane({0, 1})));
  CHECK_FALSE(lanes.Rests(kStart + milliseconds(9), lanes.lane({0, 2})));
  CHECK_FALSE(lanes.Rests(kStart + milliseconds(10), lanes.lane({0, 0})));
  // Each of its lanes tells.
  for (const uint32_t lane : {0u, 1u}) {
    lanes.RestAgain(kStart + milliseconds(100), lanes.lane({0, lane}));
  }
  CHECK(lanes.Rests(kStart + milliseconds(109), lanes.lane({0, 0})));
  lanes.RestAgain(kStart + milliseconds(200), lanes.lane({0, 0}));
  CHECK_FALSE(lanes.Rests(kStart + milliseconds(201), lanes.lane({0, 0})));
}

}  // namespace
}  // namespace tandem
