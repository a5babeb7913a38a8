// Between what the operator asks of pools and the pools themselves. Free functions, thread-safe.
#pragma once

#include "backends/pool/pool.h"
#include "server/pool_report.h"
#include "server/serve_options.h"

namespace tandem::server {

// A pool as `spec` asks for it. The program of its workers is the one that stands beside this
// program, or which the environment names (TANDEM_WORKER, TANDEM_WORKER_CUDA).
PoolOptions MakePoolOptions(const PoolSpec& spec, const ServeOptions& serve);

// The pool as it is now.
PoolReport ReportOf(const Pool& pool);

}  // namespace tandem::server
