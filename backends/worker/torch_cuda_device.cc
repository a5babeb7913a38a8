#include "backends/worker/torch_cuda_device.h"

#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/cuda_verdict.h"
#include "backends/worker/torch_cuda_graph.h"
#include "backends/worker/torch_errors.h"
#include "core/worker_exit_code.h"

namespace tandem::worker {
namespace {

constexpr int kStreams = 32;

static_assert(kCudaSuccess == cudaSuccess && kCudaMemoryAllocation == cudaErrorMemoryAllocation &&
              kCudaFirstCaptureError == cudaErrorStreamCaptureUnsupported &&
              kCudaLastCaptureError == cudaErrorGraphExecUpdateFailure);

// Of LibTorch's allocator, which holds weights and tensors. What CUDA itself takes is not counted.
absl::Status LimitMemory(uint64_t bytes, uint64_t there) {
  if (bytes == 0) return absl::OkStatus();
  if (bytes > there) {
    return absl::FailedPreconditionError(absl::StrCat("its pool's device_memory is ", bytes >> 20,
                                                      " MiB, but the GPU has ", there >> 20,
                                                      " MiB"));
  }
  c10::cuda::CUDACachingAllocator::setMemoryFraction(
      static_cast<double>(bytes) / static_cast<double>(there), 0);
  return absl::OkStatus();
}

}  // namespace

CudaDevice::CudaDevice(std::string name, std::string compute_capability,
                       std::vector<c10::cuda::CUDAStream> streams)
    : name_(std::move(name)),
      compute_capability_(std::move(compute_capability)),
      streams_(std::move(streams)) {}

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Make(const RuntimeOptions& options) {
  try {
    if (c10::cuda::device_count() == 0) {
      return absl::FailedPreconditionError("no GPU is visible to this process");
    }
    // A lane that waits for its stream sleeps: it would take a core from the CPU's models. Before
    // anything else uses the device.
    C10_CUDA_CHECK(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync));
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    cudaDeviceProp properties = {};
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
    if (absl::Status limited = LimitMemory(options.device_memory_bytes, properties.totalGlobalMem);
        !limited.ok()) {
      return limited;
    }
    std::vector<c10::cuda::CUDAStream> streams;
    streams.reserve(kStreams);
    for (int i = 0; i < kStreams; ++i) {
      streams.push_back(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, /*device=*/0));
    }
    auto device = std::unique_ptr<CudaDevice>(new CudaDevice(
        properties.name, absl::StrCat(properties.major, properties.minor), std::move(streams)));
    for (const absl::Span<std::byte> arena : options.arenas) {
      absl::StatusOr<PinnedRange> pinned = PinnedRange::Make(arena);
      if (pinned.ok()) {
        device->arenas_.push_back(*std::move(pinned));
      } else {
        std::fprintf(stderr, "tandem-worker: %s; copies will be slower\n",
                     std::string(pinned.status().message()).c_str());
      }
    }
    return device;
  } catch (...) {
    return absl::FailedPreconditionError(
        absl::StrCat("the GPU cannot be used: ", StatusOfCurrentException().message()));
  }
}

absl::Status CudaDevice::RunOnLane(uint32_t lane, absl::FunctionRef<absl::Status()> work) {
  const auto inside = gate_.Enter();
  const c10::cuda::CUDAStream& stream = StreamOf(lane);
  const c10::cuda::CUDAStreamGuard guard(stream);
  // Also after a failure: the copies out of the input arena and into the output arena must have
  // ended before their places are used again.
  try {
    const absl::Status status = work();
    stream.synchronize();
    return status;
  } catch (...) {
    C10_CUDA_IGNORE_ERROR(cudaStreamSynchronize(stream));
    throw;
  }
}

absl::StatusOr<std::unique_ptr<RecordedRun>> CudaDevice::Record(
    uint32_t lane, const std::function<c10::IValue()>& work) {
  const auto alone = gate_.EnterAlone();
  return CaptureGraph(StreamOf(lane), work);
}

bool CudaDevice::FreeMemory() {
  try {
    c10::cuda::CUDACachingAllocator::emptyCache();
    return true;
  } catch (...) {
    // The device is lost, which the next run tells.
    return false;
  }
}

void CudaDevice::CheckAfterFailure(uint32_t lane) {
  const cudaStream_t stream = StreamOf(lane);
  // The first wait may tell of something that has passed; what the second one tells stays.
  cudaStreamSynchronize(stream);
  cudaGetLastError();
  const cudaError_t error = cudaStreamSynchronize(stream);
  if (!IsDeviceLost(error)) {
    cudaGetLastError();
    return;
  }
  std::fprintf(stderr, "The GPU can run nothing more in this process: %s\n",
               cudaGetErrorString(error));
  std::_Exit(kWorkerDeviceLost);
}

}  // namespace tandem::worker
