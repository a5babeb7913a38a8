// Joins one output of each of several models into one tensor. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor.h"

namespace tandem {

enum class CombineMethod {
  kNone,
  // Element by element, in FP32; shapes must be equal.
  kMean,
  kWeightedMean,
  // A class for each row, in INT64. Integer outputs (and BOOL) hold the class, a last dimension of
  // 1 counts as none; floating-point outputs hold scores along the last dimension, and the first of
  // the highest wins. The class with most votes wins, a tie goes to the higher sum of scores, then
  // to the lower class. A row whose scores are all NaN is no vote; -1 stands where nobody voted.
  kMajorityVote,
};

struct CombineMember {
  // Of the call, for messages.
  std::string key;
  // Its bytes must live until Combine returns.
  Tensor tensor;
  // For kWeightedMean; 0 is read as 1.
  double weight = 1.0;
};

// Owns its bytes: `tensor` points into `bytes`. Can be moved, not copied.
struct CombinedTensor {
  Tensor tensor;
  std::vector<std::byte> bytes;

  CombinedTensor() = default;
  CombinedTensor(CombinedTensor&&) = default;
  CombinedTensor& operator=(CombinedTensor&&) = default;
};

// INVALID_ARGUMENT: no member, a weight below 0 or not finite, weights whose sum is not finite, or
// kNone. FAILED_PRECONDITION, naming the call and its output: a type that cannot be combined, or
// shapes that do not fit together.
absl::StatusOr<CombinedTensor> Combine(CombineMethod method,
                                       absl::Span<const CombineMember> members,
                                       std::string output_name);

}  // namespace tandem
