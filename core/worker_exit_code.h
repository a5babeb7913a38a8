// The exit codes of a worker program. What else a worker ends with, it did not choose.
#pragma once

namespace tandem {

// It was asked to shut down, or the server has gone.
inline constexpr int kWorkerEnded = 0;
inline constexpr int kWorkerBadFlags = 2;
// The reason went to the server.
inline constexpr int kWorkerCannotServe = 3;
// The server broke the protocol, or a ring is corrupt.
inline constexpr int kWorkerBrokenProtocol = 4;
// Its device can run nothing more in this process, as after an error of a CUDA kernel.
inline constexpr int kWorkerDeviceLost = 70;

}  // namespace tandem
