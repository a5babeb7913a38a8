#include "backends/worker/torch_cuda_pinned.h"

#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"

namespace tandem::worker {

absl::StatusOr<PinnedRange> PinnedRange::Make(absl::Span<std::byte> range) {
  const cudaError_t error = cudaHostRegister(range.data(), range.size(), cudaHostRegisterPortable);
  if (error == cudaSuccess) return PinnedRange(range.data());
  // Read away, or the next kernel would be blamed for it.
  cudaGetLastError();
  return absl::ResourceExhaustedError(
      absl::StrCat("an arena of ", range.size() >> 20,
                   " MiB cannot be registered with the GPU: ", cudaGetErrorString(error)));
}

PinnedRange::~PinnedRange() {
  if (data_ != nullptr) cudaHostUnregister(data_);
}

}  // namespace tandem::worker
