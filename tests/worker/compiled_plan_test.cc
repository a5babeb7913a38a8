#include "backends/worker/compiled_plan.h"

#include <chrono>

#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

using Parts = std::vector<CompiledPart>;
using std::chrono::microseconds;

TEST_CASE("A batch runs in the file for its very size, whatever the times say", "[compiled]") {
  const CompiledPlan plan({1, 4}, true, 4,
                          {{1, microseconds(10)}, {4, microseconds(90)}, {2, microseconds(1)}});
  CHECK(plan.PartsOf(1) == Parts{{1, 1}});
  CHECK(plan.PartsOf(4) == Parts{{4, 4}});
}

TEST_CASE("Rows that cost time each run in parts rather than with zeros", "[compiled]") {
  const CompiledPlan plan({1, 4}, false, 9, {{1, microseconds(16)}, {4, microseconds(60)}});
  CHECK(plan.PartsOf(2) == Parts{{1, 1}, {1, 1}});
  CHECK(plan.PartsOf(3) == Parts{{1, 1}, {1, 1}, {1, 1}});
  // In any order.
  CHECK(plan.PartsOf(5).size() == 2);
  CHECK(plan.PartsOf(8) == Parts{{4, 4}, {4, 4}});
  CHECK(plan.PartsOf(9).size() == 3);
}

TEST_CASE("A run that hardly takes longer with more rows is filled up", "[compiled]") {
  const CompiledPlan plan({1, 4}, false, 6, {{1, microseconds(50)}, {4, microseconds(60)}});
  CHECK(plan.PartsOf(2) == Parts{{4, 2}});
  CHECK(plan.PartsOf(3) == Parts{{4, 3}});
  CHECK(plan.PartsOf(6) == Parts{{4, 4}, {4, 2}});
}

TEST_CASE("The file for any size takes part where it is faster", "[compiled]") {
  // 1 row takes 22, and each more 22.
  const std::vector<TimedRun> slow = {
      {1, microseconds(16)}, {4, microseconds(60)}, {2, microseconds(44)}, {8, microseconds(176)}};
  CHECK(CompiledPlan({1, 4}, true, 8, slow).PartsOf(3) == Parts{{1, 1}, {1, 1}, {1, 1}});
  const std::vector<TimedRun> fast = {
      {1, microseconds(16)}, {4, microseconds(60)}, {2, microseconds(20)}, {8, microseconds(50)}};
  const CompiledPlan plan({1, 4}, true, 8, fast);
  CHECK(plan.PartsOf(3) == Parts{{0, 3}});
  CHECK(plan.PartsOf(8) == Parts{{0, 8}});
}

TEST_CASE("Of several runs of a size the shortest counts", "[compiled]") {
  const CompiledPlan plan({1, 4}, false, 2,
                          {{1, microseconds(900)}, {1, microseconds(16)}, {4, microseconds(60)}});
  CHECK(plan.PartsOf(2) == Parts{{1, 1}, {1, 1}});
}

TEST_CASE("Without times few rows of zeros and few parts are best", "[compiled]") {
  CHECK(CompiledPlan({}, true, 7, {}).PartsOf(7) == Parts{{0, 7}});
  CHECK(CompiledPlan({1, 4}, true, 3, {}).PartsOf(3) == Parts{{0, 3}});
  CHECK(CompiledPlan({1, 4}, false, 3, {}).PartsOf(3) == Parts{{1, 1}, {1, 1}, {1, 1}});
  CHECK(CompiledPlan({4}, false, 3, {}).PartsOf(3) == Parts{{4, 3}});
  CHECK(CompiledPlan({4}, false, 7, {}).PartsOf(7) == Parts{{4, 4}, {4, 3}});
  // A time of one of them says nothing of the other.
  CHECK(CompiledPlan({1, 4}, false, 3, {{1, microseconds(900)}}).PartsOf(3).size() == 3);
}

}  // namespace
}  // namespace tandem::worker
