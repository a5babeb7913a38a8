// A CUDA graph as a recorded run.
#pragma once

#include <c10/cuda/CUDAStream.h>

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "backends/worker/torch_device.h"

namespace tandem::worker {

// Captures the work on the stream. The caller sees to it that no other thread uses LibTorch's CUDA
// device meanwhile. FAILED_PRECONDITION, with the reason, where that cannot be; LibTorch is left as
// it was then. Throws nothing.
absl::StatusOr<std::unique_ptr<RecordedRun>> CaptureGraph(const c10::cuda::CUDAStream& stream,
                                                          const std::function<c10::IValue()>& work);

}  // namespace tandem::worker
