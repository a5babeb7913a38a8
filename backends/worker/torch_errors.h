// LibTorch's exceptions as statuses. LibTorch throws from everywhere; the executor catches once and
// turns what it caught into a sentence that a client may read.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace tandem::worker {

// Longest message that CleanMessage returns.
inline constexpr size_t kMaxMessageBytes = 1024;

// What a TorchScript or LibTorch message says, without tracebacks, source files and addresses.
std::string CleanMessage(std::string_view message);

// For use in a catch block: the exception in flight. RESOURCE_EXHAUSTED: out of memory, on the host
// or the device. INTERNAL: anything else.
absl::Status StatusOfCurrentException();

}  // namespace tandem::worker
