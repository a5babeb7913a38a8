#include "backends/worker/torch_thread.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

namespace tandem::worker {

void PrepareThread(uint32_t threads) {
  at::set_num_threads(static_cast<int>(threads));
  // Numbers next to zero cost a hundredfold and mean nothing to a net.
  at::globalContext().setFlushDenormal(true);
}

}  // namespace tandem::worker
