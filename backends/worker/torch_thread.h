// LibTorch's settings that it keeps for each thread.
#pragma once

#include <cstdint>

namespace tandem::worker {

// For a thread that runs models, on `threads` intra-op threads.
void PrepareThread(uint32_t threads);

}  // namespace tandem::worker
