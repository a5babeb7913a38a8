// LibTorch's settings that it keeps for each thread.
#pragma once

#include <cstdint>

namespace tandem::worker {

// For a thread that is about to run a model, on `threads` intra-op threads. One that gives way
// yields between operators, while that costs the run no more than the time that it computes itself.
void PrepareThread(uint32_t threads);

}  // namespace tandem::worker
