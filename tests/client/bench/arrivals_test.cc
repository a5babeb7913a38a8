#include "client/bench/arrivals.h"

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST_CASE("Equal gaps keep the rate, and loops interleave", "[bench]") {
  Arrivals first(100, false, 1, 0.5);
  Arrivals second(100, false, 2, 1);
  CHECK(first.Next() == milliseconds(5));
  CHECK(second.Next() == milliseconds(10));
  CHECK(first.Next() == milliseconds(15));
  CHECK(second.Next() == milliseconds(20));
}

TEST_CASE("Poisson arrivals keep the rate, and their gaps vary as much as they last", "[bench]") {
  constexpr int kCalls = 100000;
  Arrivals arrivals(1000, true, 3);
  double sum = 0;
  double squares = 0;
  nanoseconds last(0);
  for (int i = 0; i < kCalls; ++i) {
    const nanoseconds next = arrivals.Next();
    REQUIRE(next >= last);
    const double gap = std::chrono::duration<double, std::milli>(next - last).count();
    sum += gap;
    squares += gap * gap;
    last = next;
  }
  const double mean = sum / kCalls;
  const double deviation = std::sqrt(squares / kCalls - mean * mean);
  CHECK(mean == Approx(1).epsilon(0.02));
  CHECK(deviation == Approx(1).epsilon(0.02));
}

TEST_CASE("The same seed gives the same arrivals, another one others", "[bench]") {
  CHECK(Arrivals(10, true, 1).Next() == Arrivals(10, true, 1).Next());
  CHECK(Arrivals(10, true, 1).Next() != Arrivals(10, true, 2).Next());
}

}  // namespace
}  // namespace tandem::client
