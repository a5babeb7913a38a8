// What a TorchScript method returned, as the model's outputs.
//
// Tuples, lists and dicts are flattened. A dict's values go by their keys, other values by the
// configuration's names NAME__INDEX, or in the order of the configuration. int, float, bool and str
// become tensors of one element, lists of them tensors of one dimension. Immutable after Make.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/worker/executor.h"

namespace tandem::worker {

// One value on its way out.
struct OutputValue {
  // Empty but for the values of a dict.
  std::string key;
  DataType type = DataType::kInvalid;
  Shape shape;
  // Holds the elements, but for BYTES.
  at::Tensor tensor;
  std::vector<std::string> strings;

  size_t bytes() const;
};

class OutputBinding {
 public:
  // `configured` may be empty: all values are outputs then. `lowered`: the type that the model runs
  // in by autocast; a value that has it goes out as it is configured, or as FP32. INVALID_ARGUMENT
  // where two outputs have the same index.
  static absl::StatusOr<OutputBinding> Make(std::vector<TensorSpec> configured,
                                            std::optional<c10::ScalarType> lowered = std::nullopt);

  // Announces the outputs to the sink and copies each to its place. On a CUDA device the copies
  // have been started, not finished. INTERNAL where the model returned something else than was
  // configured.
  absl::Status Deliver(const c10::IValue& result, OutputSink& sink) const;

 private:
  absl::StatusOr<std::vector<OutputTensor>> Announce(std::vector<OutputValue>& values,
                                                     std::vector<size_t>& chosen) const;
  void Raise(OutputValue& value, DataType wanted) const;

  std::vector<TensorSpec> configured_;
  // Of each configured output, the index of the value. Not used for a dict.
  std::vector<size_t> indices_;
  std::optional<c10::ScalarType> lowered_;
};

}  // namespace tandem::worker
