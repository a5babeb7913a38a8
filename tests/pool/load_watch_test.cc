#include "backends/pool/load_watch.h"

#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Verdict = LoadWatch::Verdict;

constexpr TimePoint kBegin{std::chrono::hours(1)};

TEST_CASE("A load has its limit, and no load has none", "[load_watch]") {
  LoadWatch watch(minutes(1));
  CHECK(watch.Judge(kBegin) == Verdict::kFine);
  CHECK(watch.next() == kNever);
  watch.Begin(kBegin);
  CHECK(watch.Judge(kBegin + seconds(59)) == Verdict::kFine);
  CHECK(watch.Judge(kBegin + minutes(1)) == Verdict::kTooLong);
  watch.End();
  CHECK(watch.Judge(kBegin + minutes(1)) == Verdict::kFine);
  CHECK(watch.next() == kNever);
}

TEST_CASE("A limit of 0 is none", "[load_watch]") {
  LoadWatch watch(Duration(0));
  watch.Begin(kBegin);
  CHECK(watch.Judge(kBegin + std::chrono::hours(24)) == Verdict::kFine);
}

TEST_CASE("A load whose model is removed has a moment to end", "[load_watch]") {
  LoadWatch watch(Duration(0));
  watch.Begin(kBegin);
  watch.OnUnwanted(kBegin + seconds(7));
  CHECK(watch.next() == kBegin + seconds(8));
  CHECK(watch.Judge(kBegin + milliseconds(7999)) == Verdict::kFine);
  CHECK(watch.Judge(kBegin + seconds(8)) == Verdict::kUnwanted);
  // The next one is another matter.
  watch.End();
  watch.Begin(kBegin + seconds(8));
  CHECK(watch.Judge(kBegin + seconds(9)) == Verdict::kFine);
}

TEST_CASE("Each slow load is told of once", "[load_watch]") {
  LoadWatch watch(minutes(10));
  for (TimePoint begin = kBegin; begin < kBegin + minutes(2); begin += minutes(1)) {
    watch.Begin(begin);
    CHECK(watch.next() == begin + LoadWatch::kSlow);
    CHECK_FALSE(watch.TakeSlow(begin + LoadWatch::kSlow - seconds(1)));
    CHECK(watch.TakeSlow(begin + LoadWatch::kSlow));
    CHECK_FALSE(watch.TakeSlow(begin + LoadWatch::kSlow));
    CHECK(watch.next() == begin + minutes(10));
    watch.End();
  }
}

}  // namespace
}  // namespace tandem::testing
