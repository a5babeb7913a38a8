#include "server/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace tandem::server {
namespace {

// The log, ports, files that are read for a moment.
constexpr uint64_t kForItself = 64;
// A worker has about ten; one that ends and the one that follows it may both be there.
constexpr uint64_t kForEachWorker = 32;
constexpr uint64_t kForEachThread = 4;

}  // namespace

uint64_t RaiseDescriptorLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

uint32_t MostConnections(uint64_t descriptors, size_t workers, size_t model_files,
                         size_t grpc_threads) {
  const uint64_t reserve =
      kForItself + (kForEachWorker + model_files) * workers + kForEachThread * grpc_threads;
  const uint64_t left = descriptors > reserve ? descriptors - reserve : 1;
  return static_cast<uint32_t>(std::min<uint64_t>(left, std::numeric_limits<uint32_t>::max()));
}

}  // namespace tandem::server
