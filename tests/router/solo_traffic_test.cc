#include "router/solo_traffic.h"

#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("A long row of requests that come alone is solo traffic, until one does not",
          "[solo_traffic]") {
  SoloTraffic traffic;
  for (uint32_t i = 0; i < SoloTraffic::kRow; ++i) {
    CHECK_FALSE(traffic.is_solo());
    traffic.OnArrival(/*alone=*/true);
  }
  CHECK(traffic.is_solo());
  traffic.OnArrival(/*alone=*/true);
  CHECK(traffic.is_solo());
  traffic.OnArrival(/*alone=*/false);
  CHECK_FALSE(traffic.is_solo());
  traffic.OnArrival(/*alone=*/true);
  CHECK_FALSE(traffic.is_solo());
}

}  // namespace
}  // namespace tandem
