#include "backends/worker/torch_cuda_device.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_errors.h"
#include "core/worker_exit_code.h"

namespace tandem::worker {
namespace {

constexpr int kStreams = 16;

}  // namespace

CudaDevice::CudaDevice(std::string name, std::string compute_capability,
                       std::vector<c10::cuda::CUDAStream> streams)
    : name_(std::move(name)),
      compute_capability_(std::move(compute_capability)),
      streams_(std::move(streams)) {}

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Make() {
  try {
    if (c10::cuda::device_count() == 0) {
      return absl::FailedPreconditionError("no GPU is visible to this process");
    }
    cudaDeviceProp properties = {};
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
    std::vector<c10::cuda::CUDAStream> streams;
    streams.reserve(kStreams);
    for (int i = 0; i < kStreams; ++i) {
      streams.push_back(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, /*device=*/0));
    }
    return std::unique_ptr<CudaDevice>(new CudaDevice(
        properties.name, absl::StrCat(properties.major, properties.minor), std::move(streams)));
  } catch (...) {
    return absl::FailedPreconditionError(
        absl::StrCat("the GPU cannot be used: ", StatusOfCurrentException().message()));
  }
}

absl::Status CudaDevice::RunOnLane(uint32_t lane, absl::FunctionRef<absl::Status()> work) {
  const c10::cuda::CUDAStream stream = streams_[lane % streams_.size()];
  const c10::cuda::CUDAStreamGuard guard(stream);
  const absl::Status status = work();
  // Also after a failure: the copies out of the input arena must have ended before its place is
  // used again.
  stream.synchronize();
  return status;
}

bool CudaDevice::FreeMemory() {
  c10::cuda::CUDACachingAllocator::emptyCache();
  return true;
}

void CudaDevice::CheckAfterFailure() {
  // An error of a kernel stays with the process's context: every later call fails with it.
  const cudaError_t error = cudaDeviceSynchronize();
  if (error == cudaSuccess || error == cudaErrorMemoryAllocation) return;
  std::fprintf(stderr, "The GPU can run nothing more in this process: %s\n",
               cudaGetErrorString(error));
  std::_Exit(kWorkerDeviceLost);
}

}  // namespace tandem::worker
