// The one place where a request is held against the model that it names. Everything behind it
// trusts the inputs' names, types, shapes and sizes. Pure, thread-safe; allocates in proportion to
// the number of tensors, never to the sizes that they claim.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/infer_request.h"
#include "core/model_config.h"
#include "core/tensor.h"

namespace tandem {

struct CheckedInputs {
  // In the model's order. An optional input that was left out has type kInvalid.
  std::vector<Tensor> tensors;
  // The batch dimension; 1 where the model has none.
  int64_t rows = 1;
  // Of all inputs together.
  uint64_t bytes = 0;
};

// Checks `request` against the model's config and moves its inputs out of it. INVALID_ARGUMENT,
// with the model, the tensor, what was expected and what came, where they do not fit.
absl::StatusOr<CheckedInputs> CheckRequest(const ModelVersion& model, InferRequest& request);

}  // namespace tandem
