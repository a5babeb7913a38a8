// Which tensors of a PredictRequest go to which inputs of a model, and what its outputs are called.
// Pure functions, thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor.h"
#include "google/protobuf/map.h"

namespace tandem::server {

// As input_names (model's input → tensor that goes there) and output_names (model's output → its
// name in the reply).
using NameMap = google::protobuf::Map<std::string, std::string>;

// The tensors, under the names of the model's inputs. An input takes the tensor that `names` gives
// it, else the one of its own name. Where `shared`, a sole input takes a sole tensor, whatever its
// name, and tensors that are left over belong to other models and are dropped. INVALID_ARGUMENT for
// a tensor of the call's own that goes to no input, and for a name in `names` that is not there. An
// empty signature is unknown: then all tensors pass, renamed by `names`.
absl::StatusOr<std::vector<Tensor>> MapInputs(absl::Span<const Tensor> tensors, bool shared,
                                              const NameMap& names,
                                              absl::Span<const TensorSpec> signature);

// INVALID_ARGUMENT where `names` (the model's output → its name in the reply) has an output that
// the model has not, or two outputs would have one name. An empty signature is unknown: then any
// name passes.
absl::Status CheckOutputNames(const NameMap& names, absl::Span<const TensorSpec> signature);

}  // namespace tandem::server
