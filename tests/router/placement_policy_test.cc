#include "router/placement_policy.h"

#include <rapidcheck.h>

#include <deque>

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

// Pools with a cost model each, which live as long as the test.
class Pools {
 public:
  // A pool whose batches take alpha + beta · rows.
  PoolOutlook Pool(Duration alpha, Duration beta, int64_t full_rows,
                   std::vector<Duration> busy_for = {Duration{0}}) {
    CostModel& cost = costs_.emplace_back();
    for (int i = 0; i < 50; ++i) {
      const int64_t rows = 1 + i % 2 * 7;
      cost.Learn(rows, alpha + beta * rows);
    }
    PoolOutlook pool = Unknown(full_rows, busy_for);
    pool.cost = &cost;
    return pool;
  }
  // A pool that takes `time` for each request of one row.
  PoolOutlook Single(Duration time, std::vector<Duration> busy_for = {Duration{0}}) {
    return Pool(Duration{0}, time, 1, std::move(busy_for));
  }
  PoolOutlook Unknown(int64_t full_rows = 1,
                      const std::vector<Duration>& busy_for = {Duration{0}}) {
    PoolOutlook pool;
    pool.cost = &costs_.emplace_back();
    pool.full_rows = full_rows;
    for (const Duration busy : busy_for) pool.lanes_free_at.push_back(kStart + busy);
    return pool;
  }

  const CostModel& Keep(const CostModel& cost) { return costs_.emplace_back(cost); }

 private:
  std::deque<CostModel> costs_;
};

constexpr int64_t kLongLine = 1000;

// Rows that wait until the pool takes one.
int64_t Threshold(const PoolOutlook& self, const PoolOutlook& other) {
  for (int64_t waiting = 1; waiting < kLongLine; ++waiting) {
    const Share share = ShareOf(kStart, waiting, 1, self, {other});
    if (share.none) continue;
    CHECK(share.rows <= waiting);
    CHECK(share.rows >= 1);
    return waiting;
  }
  return kLongLine;
}

TEST_CASE("The faster pool takes the most urgent request", "[placement]") {
  Pools pools;
  const Share share =
      ShareOf(kStart, 1, 1, pools.Single(milliseconds(1)), {pools.Single(milliseconds(10))});
  CHECK_FALSE(share.none);
  CHECK(share.rows == 1);
}

TEST_CASE("The slower pool leaves what the faster one finishes sooner", "[placement]") {
  Pools pools;
  // In less than 10.5 ms the idle fast pool finishes ten of them.
  const PoolOutlook slow = pools.Single(microseconds(10'500));
  CHECK(Threshold(slow, pools.Single(milliseconds(1))) == 11);
  // Busy for 4 ms more, it finishes six.
  CHECK(Threshold(slow, pools.Single(milliseconds(1), {milliseconds(4)})) == 7);
  // A second lane finishes as many again.
  CHECK(Threshold(slow, pools.Single(milliseconds(1), {milliseconds(4), Duration{0}})) == 17);
  // A lane that is overdue counts as free now.
  CHECK(Threshold(slow, pools.Single(milliseconds(1), {-milliseconds(50)})) == 11);
}

TEST_CASE("The slower pool takes the first where the faster one is busy for longer",
          "[placement]") {
  Pools pools;
  CHECK(Threshold(pools.Single(milliseconds(10)),
                  pools.Single(milliseconds(1), {milliseconds(12)})) == 1);
}

TEST_CASE("Of two equal pools each takes what the other would not finish sooner", "[placement]") {
  Pools pools;
  const PoolOutlook pool = pools.Single(milliseconds(1));
  CHECK(Threshold(pool, pool) == 1);
  CHECK(Threshold(pools.Single(microseconds(1010)),
                  pools.Single(milliseconds(1), {microseconds(500)})) == 1);
}

TEST_CASE("A request of several rows counts as done only as a whole", "[placement]") {
  Pools pools;
  // Two lanes that do one row each by the time the other pool does both do not answer it.
  const PoolOutlook two_lanes =
      pools.Pool(microseconds(700), microseconds(300), 8, {Duration{0}, Duration{0}});
  const PoolOutlook one_lane = pools.Pool(microseconds(800), microseconds(200), 8);
  CHECK_FALSE(ShareOf(kStart, 2, 2, one_lane, {two_lanes}).none);
  CHECK(ShareOf(kStart, 2, 2, two_lanes, {one_lane}).none);
}

TEST_CASE("Idle pools never leave a request to each other", "[placement]") {
  const bool holds = rc::check([] {
    Pools pools;
    std::vector<PoolOutlook> idle;
    const int64_t full_rows = *rc::gen::inRange<int64_t>(1, 17);
    for (int i = *rc::gen::inRange(2, 4); i > 0; --i) {
      const auto lanes = static_cast<size_t>(*rc::gen::inRange(1, 4));
      PoolOutlook pool = pools.Unknown(full_rows, std::vector<Duration>(lanes));
      CostModel cost;
      // Times of a few nanoseconds too, where a fraction of one is much.
      const int64_t longest = *rc::gen::element<int64_t>(8, 100, 100'000);
      const int samples = *rc::gen::inRange(2, 40);
      for (int sample = 0; sample < samples; ++sample) {
        cost.Learn(*rc::gen::inRange<int64_t>(1, full_rows + 1),
                   Duration{*rc::gen::inRange<int64_t>(1, longest)});
      }
      pool.cost = &pools.Keep(cost);
      idle.push_back(pool);
    }
    const int64_t one = *rc::gen::inRange<int64_t>(1, full_rows + 1);
    const int64_t waiting = one + *rc::gen::inRange<int64_t>(0, 3 * full_rows);
    const auto takes = [&](size_t self) {
      std::vector<PoolOutlook> others = idle;
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(self));
      return !ShareOf(kStart, waiting, one, idle[self], others).none;
    };
    bool taken = false;
    for (size_t pool = 0; pool < idle.size(); ++pool) taken = taken || takes(pool);
    RC_ASSERT(taken);
  });
  CHECK(holds);
}

TEST_CASE("A pool takes no more than it answers before the other pool would", "[placement]") {
  Pools pools;
  const PoolOutlook cpu = pools.Pool(Duration{0}, milliseconds(2), 8);
  // Full batches of 8 take 4 ms.
  const PoolOutlook gpu = pools.Pool(milliseconds(2), microseconds(250), 8);
  // Three rows take 6 ms: by then the GPU pool has done eight, by 8 ms 16.
  const Share share = ShareOf(kStart, 12, 1, cpu, {gpu});
  CHECK(share.rows == 3);
  CHECK_FALSE(share.none);
  // With a long line a full batch pays.
  CHECK(ShareOf(kStart, 100, 1, cpu, {gpu}).rows == 8);
}

TEST_CASE("A pool whose speed is unknown takes one batch at a time to learn", "[placement]") {
  Pools pools;
  PoolOutlook unknown = pools.Unknown();
  const PoolOutlook known = pools.Single(milliseconds(1));
  CHECK_FALSE(ShareOf(kStart, 1, 1, unknown, {known}).none);
  unknown.trying = true;
  CHECK(ShareOf(kStart, 1, 1, unknown, {known}).none);
  // Nobody knows: all of them work.
  CHECK_FALSE(ShareOf(kStart, 1, 1, unknown, {unknown}).none);
  // And nobody waits for a pool that might be faster.
  CHECK_FALSE(ShareOf(kStart, 1, 1, known, {unknown}).none);
}

TEST_CASE("The time at which a number of rows is done counts whole batches", "[placement]") {
  Pools pools;
  const std::vector<PoolOutlook> gpu = {
      pools.Pool(milliseconds(2), microseconds(250), 8, {milliseconds(1)})};
  const auto done_ms = [&](int64_t rows) {
    return ToSeconds(DoneAt(kStart, rows, gpu) - kStart) * 1e3;
  };
  CHECK(done_ms(1) == Approx(3.25).margin(0.1));
  CHECK(done_ms(8) == Approx(5.0).margin(0.1));
  CHECK(done_ms(9) == Approx(7.25).margin(0.1));
  CHECK(DoneAt(kStart, 1, {pools.Unknown()}) == kNever);
}

}  // namespace
}  // namespace tandem
