// How many descriptors the process may have, and how many of them may be connections. Free
// functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tandem::server {

// Takes all that the process may have: the soft limit becomes the hard one. Returns it.
// Thread-safe.
uint64_t RaiseDescriptorLimit();

// Connections that leave descriptors for everything else: the threads of gRPC, and each worker's
// channel, memory and process, so that a worker can be started again however many clients there
// are; and `model_files`, which each worker's models keep open. At least 1.
uint32_t MostConnections(uint64_t descriptors, size_t workers, size_t model_files,
                         size_t grpc_threads);

}  // namespace tandem::server
