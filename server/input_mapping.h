// Which tensors of a PredictRequest go to which inputs of a model. Pure function, thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor.h"
#include "google/protobuf/map.h"

namespace tandem::server {

// Name of the model's input → name of the tensor that goes there.
using NameMap = google::protobuf::Map<std::string, std::string>;

// The tensors, under the names of the model's inputs. An input takes the tensor that `names` gives
// it, else the one of its own name; a sole input takes a sole tensor, whatever its name. Where
// `shared`, tensors that are left over belong to other models and are dropped; own ones are passed
// on, to be refused by their names. An empty signature is unknown: then all tensors pass, renamed
// by `names`. INVALID_ARGUMENT for a name in `names` that is not there.
absl::StatusOr<std::vector<Tensor>> MapInputs(absl::Span<const Tensor> tensors, bool shared,
                                              const NameMap& names,
                                              absl::Span<const TensorSpec> signature);

}  // namespace tandem::server
