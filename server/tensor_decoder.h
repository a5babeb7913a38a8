// Turns the tensors of a request, as the protocol carries them, into core tensors. Pure functions,
// thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor.h"
#include "inference.pb.h"
#include "server/wire_split.h"

namespace tandem::server {

using InputTensors =
    google::protobuf::RepeatedPtrField<inference::ModelInferRequest::InferInputTensor>;

// Bytes that were made from typed contents. A deque, so that they stay where they are while more
// are added.
using OwnedBytes = std::deque<std::string>;

// The tensors' bytes are `raw`, borrowed, or else the inputs' typed contents, converted into
// `owned`. INVALID_ARGUMENT, naming the tensor, for an unknown datatype, an impossible shape,
// contents of both kinds, of the wrong kind or of the wrong count. Whether the raw bytes have the
// right size is checked against the model, by the router.
absl::StatusOr<std::vector<Tensor>> DecodeTensors(const InputTensors& inputs,
                                                  absl::Span<const Pieces> raw, OwnedBytes* owned);

// Pieces that borrow the strings' bytes.
std::vector<Pieces> BorrowStrings(const google::protobuf::RepeatedPtrField<std::string>& strings);

}  // namespace tandem::server
