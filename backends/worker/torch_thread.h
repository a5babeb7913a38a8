// LibTorch's settings that it keeps for each thread.
#pragma once

#include <cstdint>

namespace tandem::worker {

// For a thread that is about to run a model, on `threads` intra-op threads. One that gives way
// yields between operators, while it has a fourth of its core or more.
void PrepareThread(uint32_t threads);

}  // namespace tandem::worker
