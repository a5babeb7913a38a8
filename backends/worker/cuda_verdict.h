// What an error of CUDA means for the process. Pure; the numbers are cudaError_t's, which never
// change, so that this is tested where no CUDA is.
#pragma once

namespace tandem::worker {

inline constexpr int kCudaSuccess = 0;
inline constexpr int kCudaMemoryAllocation = 2;
// Errors of a stream that is being captured: of one call, never of the device.
inline constexpr int kCudaFirstCaptureError = 900;
inline constexpr int kCudaLastCaptureError = 910;

// Whether the device can run nothing more in this process. `after_clearing` is what a wait for the
// device said after the last error had been read away: an error that is still there then stays with
// the process's context, as after a kernel that wrote where it must not, and every later call fails
// with it. Lack of memory never stays.
inline bool IsDeviceLost(int after_clearing) {
  if (after_clearing == kCudaSuccess || after_clearing == kCudaMemoryAllocation) return false;
  return after_clearing < kCudaFirstCaptureError || after_clearing > kCudaLastCaptureError;
}

}  // namespace tandem::worker
