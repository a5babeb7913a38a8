#include "backends/worker/torch_cuda_graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_errors.h"

namespace tandem::worker {
namespace {

class CudaGraphRun : public RecordedRun {
 public:
  explicit CudaGraphRun(std::unique_ptr<at::cuda::CUDAGraph> graph, c10::IValue result)
      : graph_(std::move(graph)), result_(std::move(result)) {}

  void Replay() override { graph_->replay(); }
  const c10::IValue& result() const override { return result_; }

 private:
  // Holds the memory that the graph works in.
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
  c10::IValue result_;
};

// Each step by itself: LibTorch says what went wrong by throwing, also where there is nothing left
// to undo.
template <typename Step>
void Try(Step step) {
  try {
    step();
  } catch (...) {
    // What failed is told already.
  }
}

// A capture that failed leaves the stream in capture, the allocator giving out the graph's memory,
// and the generator of random numbers waiting for the end.
void CleanUp(at::cuda::CUDAGraph& graph, c10::cuda::MempoolId_t pool) {
  Try([&] { graph.capture_end(); });
  cudaGetLastError();
  Try([&] {
    c10::cuda::CUDACachingAllocator::endAllocateToPool(0, pool);
    c10::cuda::CUDACachingAllocator::releasePool(0, pool);
  });
  // A capture that ends well sets the generator right. It has to hold something.
  Try([] {
    const at::Tensor number = at::zeros({1}, at::TensorOptions(at::kCUDA));
    at::cuda::CUDAGraph other;
    other.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    number.fill_(1);
    other.capture_end();
  });
  cudaGetLastError();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordedRun>> CaptureGraph(
    const c10::cuda::CUDAStream& stream, const std::function<c10::IValue()>& work) {
  const c10::cuda::CUDAStreamGuard guard(stream);
  try {
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    const c10::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
    try {
      stream.synchronize();
      graph->capture_begin(pool, cudaStreamCaptureModeThreadLocal);
      c10::IValue result = work();
      graph->capture_end();
      return std::make_unique<CudaGraphRun>(std::move(graph), std::move(result));
    } catch (...) {
      const absl::Status why = StatusOfCurrentException();
      CleanUp(*graph, pool);
      return absl::FailedPreconditionError(why.message());
    }
  } catch (...) {
    return absl::FailedPreconditionError(StatusOfCurrentException().message());
  }
}

}  // namespace tandem::worker
