// One lane's runs that the device has recorded (CUDA graphs), one for each of some batch sizes.
//
// A small batch on a GPU takes longer to start, kernel by kernel, than to compute; a recorded run
// starts as a whole. It works on memory of its own: inputs are copied there, outputs from there.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "backends/worker/torch_device.h"
#include "backends/worker/torch_signature.h"

namespace tandem::worker {

// The sizes that the parameter `cuda_graphs` lists, as in "1,8,32". The server has checked it.
std::vector<int64_t> GraphSizes(const std::map<std::string, std::string>& parameters);

// Whether a run of the module may leave something behind that the next one sees. A recorded run
// would not see it.
bool KeepsState(const torch::jit::Module& module);

// Not thread-safe: made by one thread, then used by its lane.
class TorchGraphs {
 public:
  // Calls the model. Throws what LibTorch throws.
  using Method = std::function<c10::IValue(std::vector<c10::IValue>)>;

  // Records a run of `rows` rows (batched: each tensor's first dimension) on made-up inputs, and
  // tries it on others. FAILED_PRECONDITION, with the reason: it cannot be recorded, or does not
  // give what the model itself gives. Throws nothing.
  absl::Status Record(TorchDevice& device, uint32_t lane, int64_t rows, bool batched,
                      const ArgumentBinding& arguments, const Method& method);

  bool empty() const { return graphs_.empty(); }

  // Within the device's RunOnLane: starts the run that was recorded for arguments of these types
  // and shapes, which lie in the host's memory. Its result; null where there is none. Throws what
  // LibTorch throws.
  const c10::IValue* Replay(const std::vector<c10::IValue>& arguments);

 private:
  struct Graph {
    // On the device; what is no tensor is the method's own default.
    std::vector<c10::IValue> arguments;
    std::unique_ptr<RecordedRun> run;
  };

  absl::Status TryRecord(TorchDevice& device, uint32_t lane, int64_t rows, bool batched,
                         const ArgumentBinding& arguments, const Method& method);

  // By the elements of the first tensor: arguments of one batch size have one number of them.
  std::map<int64_t, Graph> graphs_;
};

}  // namespace tandem::worker
