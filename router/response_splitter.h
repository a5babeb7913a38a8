// Gives each member of a batch its rows of the batch's outputs, after holding the outputs against
// the model: what a worker sent is not trusted. Pure, thread-safe. Copies no tensor bytes.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/backend.h"
#include "core/tensor.h"
#include "router/queued_request.h"

namespace tandem {

// The outputs of each member, in the model's order or the order in which the member named them. The
// bytes belong to `result`. INTERNAL, with the model, the output, what was expected and what came,
// where the outputs do not fit.
absl::StatusOr<std::vector<std::vector<Tensor>>> SplitOutputs(const ScheduledBatch& batch,
                                                              const BatchResult& result);

}  // namespace tandem
