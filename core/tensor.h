// A tensor as it passes through the server: its name, type and shape, and where its bytes lie. The
// bytes are borrowed: whoever holds a Tensor also holds what keeps them alive (keep_alive of the
// request or the response).
#pragma once

#include <cstddef>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/data_type.h"
#include "core/shape.h"

namespace tandem {

using Bytes = absl::Span<const std::byte>;

// Bytes of a tensor's name.
inline constexpr size_t kMaxTensorNameBytes = 1024;

// Whether it is one for a model's tensor: not empty, not too long, and printable UTF-8.
bool IsTensorName(const std::string& name);

struct Tensor {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  // The bytes, row-major and little-endian, in one or more pieces: a tensor that came over the
  // network lies in as many pieces as gRPC received it in. BYTES elements stand behind their
  // lengths (uint32).
  absl::InlinedVector<Bytes, 1> pieces;

  size_t byte_size() const;
};

// What a model says of a tensor that it takes or gives.
struct TensorSpec {
  std::string name;
  // kInvalid: any type.
  DataType type = DataType::kInvalid;
  // Without the batch dimension where the model batches. -1: any size.
  Shape dims;
  // True where the model does not say its shape: any is taken.
  bool any_shape = false;
  // Inputs only: the request may leave it out.
  bool optional = false;

  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

// Copies the pieces, one after the other, to `to`, which has room for tensor.byte_size() bytes.
void CopyBytes(const Tensor& tensor, std::byte* to);

// The same bytes, however they are cut into pieces. Looks no further than to where they differ.
bool HasEqualBytes(const Tensor& a, const Tensor& b);

// Checks that `bytes` is exactly `count` strings, each behind its length (uint32, little-endian).
// INVALID_ARGUMENT with what is wrong where not. Copies nothing.
absl::Status CheckStrings(absl::Span<const Bytes> pieces, int64_t count);

}  // namespace tandem
