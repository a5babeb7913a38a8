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

TEST_CASE("Calls that are left out are counted, and the rest keeps its times", "[bench]") {
  Arrivals even(100, false, 1);
  CHECK(even.CountUntil(milliseconds(10)) == 0);
  CHECK(even.CountUntil(milliseconds(35)) == 3);
  even.SkipTo(milliseconds(25));
  CHECK(even.CountUntil(milliseconds(35)) == 1);
  CHECK(even.Next() == milliseconds(30));
  even.SkipTo(milliseconds(5));
  CHECK(even.Next() == milliseconds(40));
  Arrivals poisson(1000, true, 1);
  poisson.SkipTo(milliseconds(500));
  CHECK(static_cast<double>(poisson.CountUntil(milliseconds(1500))) == Approx(1000).epsilon(0.02));
  CHECK(poisson.Next() >= milliseconds(500));
}

TEST_CASE("Rates beyond any measure stay within what can be counted", "[bench]") {
  CHECK(Arrivals(1e-300, false, 1).Next() > std::chrono::hours(24 * 365));
  CHECK(Arrivals(1e300, false, 1).CountUntil(std::chrono::hours(1)) >= 1'000'000'000'000'000'000U);
}

TEST_CASE("The same seed gives the same arrivals, another one others", "[bench]") {
  CHECK(Arrivals(10, true, 1).Next() == Arrivals(10, true, 1).Next());
  CHECK(Arrivals(10, true, 1).Next() != Arrivals(10, true, 2).Next());
}

}  // namespace
}  // namespace tandem::client
