// libFuzzer's entry point. TANDEM_FUZZ_TARGET is the target's function.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const tandem::fuzz::Target target = tandem::fuzz::TANDEM_FUZZ_TARGET();
  target.run(absl::MakeConstSpan(data, size));
  return 0;
}
