#include "router/placement_policy.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

// A pool that takes `time` for each request of one row.
PoolOutlook Pool(Duration time, std::vector<Duration> busy_for = {Duration{0}}) {
  PoolOutlook pool;
  pool.known = true;
  pool.batch_time = time;
  pool.full_batch_time = time;
  for (const Duration busy : busy_for) pool.lanes_free_at.push_back(kStart + busy);
  return pool;
}

TEST_CASE("The faster pool takes the oldest request", "[placement]") {
  CHECK(RowsToLeave(kStart, Pool(milliseconds(1)), {Pool(milliseconds(10))}) == 0);
}

TEST_CASE("The slower pool leaves what the faster one finishes sooner", "[placement]") {
  // In 10 ms the idle fast pool finishes ten of them.
  CHECK(RowsToLeave(kStart, Pool(milliseconds(10)), {Pool(milliseconds(1))}) == 10);
  // Busy for 4 ms more, it finishes six.
  CHECK(RowsToLeave(kStart, Pool(milliseconds(10)), {Pool(milliseconds(1), {milliseconds(4)})}) ==
        6);
  // A second lane finishes as many again.
  CHECK(RowsToLeave(kStart, Pool(milliseconds(10)),
                    {Pool(milliseconds(1), {milliseconds(4), Duration{0}})}) == 16);
}

TEST_CASE("The slower pool takes the oldest where the faster one is busy for longer",
          "[placement]") {
  CHECK(RowsToLeave(kStart, Pool(milliseconds(10)), {Pool(milliseconds(1), {milliseconds(12)})}) ==
        0);
}

TEST_CASE("Pools of nearly equal speed share", "[placement]") {
  CHECK(RowsToLeave(kStart, Pool(microseconds(1010)),
                    {Pool(milliseconds(1), {microseconds(500)})}) == 0);
}

TEST_CASE("A lane that is overdue counts as free now", "[placement]") {
  CHECK(RowsToLeave(kStart, Pool(milliseconds(10)), {Pool(milliseconds(1), {-milliseconds(50)})}) ==
        10);
}

TEST_CASE("A pool that batches finishes whole batches, and a short one sooner", "[placement]") {
  PoolOutlook gpu = Pool(milliseconds(2));
  gpu.batch_rows = 3;
  gpu.full_batch_rows = 8;
  gpu.full_batch_time = milliseconds(4);
  CHECK(RowsToLeave(kStart, Pool(milliseconds(9)), {gpu}) == 16);
  CHECK(RowsToLeave(kStart, Pool(milliseconds(10)), {gpu}) == 19);
  CHECK(RowsToLeave(kStart, Pool(milliseconds(3)), {gpu}) == 3);
}

TEST_CASE("A pool whose speed is unknown takes one batch at a time to learn", "[placement]") {
  PoolOutlook unknown = Pool(Duration{0});
  unknown.known = false;
  CHECK(RowsToLeave(kStart, unknown, {Pool(milliseconds(1))}) == 0);
  unknown.trying = true;
  CHECK(RowsToLeave(kStart, unknown, {Pool(milliseconds(1))}) == kAllRows);
  // Nobody knows: all of them work.
  CHECK(RowsToLeave(kStart, unknown, {unknown}) == 0);
  // And nobody waits for a pool that might be faster.
  CHECK(RowsToLeave(kStart, Pool(milliseconds(1)), {unknown}) == 0);
}

}  // namespace
}  // namespace tandem
