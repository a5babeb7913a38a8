#include "core/adaptive_spin.h"

#include "tests/support/catch.h"

namespace tandem {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr TimePoint kNow = TimePoint{} + seconds(1000);

TEST_CASE("AdaptiveSpin starts with the longest spin", "[spin]") {
  CHECK(AdaptiveSpin(microseconds(20)).budget(kNow) == microseconds(20));
}

TEST_CASE("AdaptiveSpin gives up spinning after waits that outlast it", "[spin]") {
  AdaptiveSpin spin(microseconds(20));
  spin.Observe(milliseconds(1));
  CHECK(spin.budget(kNow) == microseconds(10));
  for (int i = 0; i < 10; ++i) spin.Observe(milliseconds(1));
  CHECK(spin.budget(kNow) == nanoseconds(0));
}

TEST_CASE("AdaptiveSpin spins in full again after one wait that a spin would have caught",
          "[spin]") {
  AdaptiveSpin spin(microseconds(20));
  for (int i = 0; i < 20; ++i) spin.Observe(milliseconds(1));
  REQUIRE(spin.budget(kNow) == nanoseconds(0));
  spin.Observe(microseconds(20));
  CHECK(spin.budget(kNow) == microseconds(20));
}

TEST_CASE("AdaptiveSpin never spins where none is allowed", "[spin]") {
  AdaptiveSpin spin(nanoseconds(0));
  spin.Observe(nanoseconds(0));
  CHECK(spin.budget(kNow) == nanoseconds(0));
  spin.Observe(milliseconds(1));
  CHECK(spin.budget(kNow) == nanoseconds(0));
}

TEST_CASE(
    "AdaptiveSpin tries another longest spin in full, and keeps what it knows of the same one",
    "[spin]") {
  AdaptiveSpin spin(microseconds(20));
  spin.Observe(milliseconds(1));
  spin.SetLongest(microseconds(20));
  CHECK(spin.budget(kNow) == microseconds(10));
  spin.SetLongest(microseconds(300));
  CHECK(spin.budget(kNow) == microseconds(300));
  spin.SetLongest(nanoseconds(0));
  CHECK(spin.budget(kNow) == nanoseconds(0));
}

TEST_CASE("AdaptiveSpin pauses when a yield brings the core back late", "[spin]") {
  AdaptiveSpin spin(microseconds(20));
  CHECK(spin.OnYield(kNow, kNow + microseconds(999)));
  CHECK(spin.budget(kNow) == microseconds(20));
  CHECK_FALSE(spin.OnYield(kNow, kNow + milliseconds(3)));
  CHECK(spin.budget(kNow + milliseconds(63) - nanoseconds(1)) == nanoseconds(0));
  CHECK(spin.budget(kNow + milliseconds(63)) == microseconds(20));
}

TEST_CASE("AdaptiveSpin's pause outlasts what it observes and another longest spin", "[spin]") {
  AdaptiveSpin spin(microseconds(20));
  CHECK_FALSE(spin.OnYield(kNow, kNow + milliseconds(1)));
  spin.Observe(microseconds(1));
  spin.SetLongest(microseconds(300));
  CHECK(spin.budget(kNow + milliseconds(20)) == nanoseconds(0));
  CHECK(spin.budget(kNow + milliseconds(21)) == microseconds(300));
}

}  // namespace
}  // namespace tandem
