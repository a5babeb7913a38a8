// What is fuzzed: each target takes any bytes and aborts where a promise is broken. Run by ordinary
// tests with random mutations of good inputs, and by libFuzzer where the compiler is Clang.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace tandem::fuzz {

struct Target {
  const char* name;
  void (*run)(absl::Span<const uint8_t> bytes);
  // Good inputs to start from.
  std::vector<std::vector<uint8_t>> seeds;
};

// A record of tensors that the other process wrote, at the start of an arena.
Target TensorRecord();
// A completion and the output arena that it speaks of, as the server takes them.
Target Completion();
// A packet on the control socket, as both sides take it.
Target ControlPacket();

}  // namespace tandem::fuzz
