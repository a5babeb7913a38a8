// Which cores the front end and the pools use where the operator left that open. Pure functions,
// thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "server/machine.h"
#include "server/pool_spec.h"
#include "server/serve_options.h"

namespace tandem::server {

// From so many cores on the front end gets some for itself. With fewer, cores that are set apart
// would idle too often; there the workers' niceness keeps the front end's way free.
inline constexpr size_t kLeastCoresToSetApart = 8;

// Cores for the front end, whole ones where two threads share one: one in eight, and one more for
// each pool on a GPU, whose host threads run beside it. Empty: it shares all with the pools.
std::vector<int> PlanFrontEnd(const Machine& machine, size_t gpu_pools);

// The cores of the machine that are not among `taken`; all of them where none would be left.
std::vector<int> OtherCores(const Machine& machine, absl::Span<const int> taken);

// DefaultPools, the CPU pool on the cores that the front end leaves, the GPU pools beside it.
std::vector<PoolSpec> PlanPools(const Machine& machine, const std::vector<int>& front_end);

// Threads for gRPC: half of the front end's own cores, one in eight of those that it shares with
// the pools, 1 to 8.
uint32_t PlanGrpcThreads(const ServeOptions& options);

// What the server puts where, a line for the head, the front end and each pool.
std::vector<std::string> MachineTable(const ServeOptions& options);

// "0-3,8".
std::string CoresText(absl::Span<const int> cores);

}  // namespace tandem::server
