// Signatures of models as worker.proto carries them. Pure.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/tensor.h"
#include "worker.pb.h"

namespace tandem {

using TensorSpecMessages = google::protobuf::RepeatedPtrField<worker::v1::TensorSpec>;

void ToMessages(const std::vector<TensorSpec>& specs, TensorSpecMessages& messages);

// INTERNAL, with what is wrong, for what no worker that keeps to the protocol sends.
absl::StatusOr<std::vector<TensorSpec>> FromMessages(const TensorSpecMessages& messages);

}  // namespace tandem
