#include "backends/worker/torch_thread.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

namespace tandem::worker {

void PrepareThread(uint32_t threads) {
  // Models of one lane may want different numbers, and to set one costs more than to look.
  thread_local uint32_t prepared = 0;
  if (prepared == threads) return;
  prepared = threads;
  at::set_num_threads(static_cast<int>(threads));
  // Numbers next to zero cost a hundredfold and mean nothing to a net.
  at::globalContext().setFlushDenormal(true);
}

}  // namespace tandem::worker
