// Cuts the reply to a call of several rows into one prediction for each.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "client/dataset/prediction_writer.h"
#include "client/reply.h"

namespace tandem::client {

// Outputs with `rows` as their first dimension are cut along it and lose it. For a single row, an
// output without that dimension is taken as it is. INTERNAL where an output of several rows cannot
// be cut. Row numbers and sources are the caller's to fill in.
absl::StatusOr<std::vector<Prediction>> SplitReply(const PredictReply& reply, size_t rows);

}  // namespace tandem::client
