#include "backends/worker/torch_warm_up.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// A model that answers at once.
class CountedRuns {
 public:
  absl::Status operator()(OutputSink& /*sink*/) {
    ++count_;
    return absl::OkStatus();
  }
  int count() const { return count_; }

 private:
  int count_ = 0;
};

void BeBusyFor(nanoseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace

TEST_CASE("A size whose first run was slow is not run again, and that run is told") {
  WarmUpTimes times;
  // A model that takes 40 ms for a row, and for 8 rows less than eight times as long.
  times.Add(1, milliseconds(40), [](OutputSink&) {
    BeBusyFor(milliseconds(40));
    return absl::OkStatus();
  });
  REQUIRE_FALSE(times.runs().empty());
  const size_t told = times.runs().size();
  CountedRuns runs;
  times.Add(8, milliseconds(280), std::ref(runs));
  CHECK(runs.count() == 0);
  REQUIRE(times.runs().size() == told + 1);
  CHECK(times.runs().back().rows == 8);
  CHECK(times.runs().back().time == milliseconds(280));
}

TEST_CASE("A first run that took longer than its rows one by one is not told") {
  WarmUpTimes times;
  CountedRuns runs;
  SECTION("since it was the model's very first") { times.Add(1, seconds(1000), std::ref(runs)); }
  SECTION("since the device was set up for the size") {
    times.Add(1, nanoseconds(1), std::ref(runs));
    const int before = runs.count();
    times.Add(8, seconds(1000), std::ref(runs));
    CHECK(runs.count() > before);
    CHECK(times.runs().back().rows == 8);
  }
  REQUIRE_FALSE(times.runs().empty());
  for (const TimedRun& run : times.runs()) CHECK(run.time < seconds(1000));
}

TEST_CASE("Of each size that runs fast, as many runs are told, after some that are not") {
  WarmUpTimes times;
  CountedRuns runs;
  times.Add(1, nanoseconds(1), std::ref(runs));
  times.Add(8, nanoseconds(1), std::ref(runs));
  int ones = 0;
  for (const TimedRun& run : times.runs()) ones += run.rows == 1 ? 1 : 0;
  CHECK(times.runs().size() == static_cast<size_t>(2 * ones));
  CHECK(runs.count() > 2 * ones);
}

TEST_CASE("A run that fails ends the timing and is not told") {
  WarmUpTimes times;
  int count = 0;
  times.Add(1, nanoseconds(1), [&count](OutputSink&) {
    ++count;
    return absl::InternalError("no");
  });
  CHECK(count == 1);
  CHECK(times.runs().empty());
}

}  // namespace tandem::worker
