// A device on the CPU that records runs as a GPU does, and tells what it was asked. Hides
// LibTorch's headers from the tests.
#pragma once

#include <memory>
#include <string>

#include "backends/worker/executor.h"

namespace tandem::worker {

// What a recording device does and has done. Not thread-safe.
struct RecordingDeviceLog {
  // Recordings fail with this reason, where it is not empty.
  std::string refusal;
  int recordings = 0;
  int replays = 0;
  // Times that memory was to be given back, and that the device was looked at after a failure.
  int freed = 0;
  int checked = 0;
};

// TorchScript on such a device. The log outlives it and its executors.
std::unique_ptr<Runtime> MakeRecordingRuntime(RecordingDeviceLog& log);

}  // namespace tandem::worker
