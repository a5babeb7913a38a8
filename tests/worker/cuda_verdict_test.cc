#include "backends/worker/cuda_verdict.h"

#include "tests/support/catch.h"

namespace tandem::worker {

TEST_CASE("A device is lost when an error is still there after it was read away") {
  CHECK_FALSE(IsDeviceLost(0));
  // cudaErrorECCUncorrectable, IllegalAddress, LaunchTimeout, Assert, IllegalInstruction,
  // MisalignedAddress, LaunchFailure, Unknown.
  for (const int error : {214, 700, 702, 710, 715, 716, 719, 999}) {
    CAPTURE(error);
    CHECK(IsDeviceLost(error));
  }
}

TEST_CASE("Lack of memory, and a stream that was being captured, are no loss of the device") {
  CHECK_FALSE(IsDeviceLost(2));
  for (int error = 900; error <= 910; ++error) CHECK_FALSE(IsDeviceLost(error));
}

}  // namespace tandem::worker
