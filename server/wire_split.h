// Takes the raw tensor contents out of a serialised protobuf message without copying them, so that
// only the small rest is given to protobuf's parser. Pure functions, thread-safe. The results
// borrow the message's bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor.h"

namespace tandem::server {

// Bytes that may lie in several pieces.
using Pieces = absl::InlinedVector<Bytes, 1>;

// More raw contents or more fields at the top of one message than any honest client sends. A field
// can be two bytes long and costs a hundred bytes of memory when parsed.
inline constexpr size_t kMaxRawContents = 1024;
inline constexpr size_t kMaxTopFields = 16384;

// Most bytes of a message besides raw contents: what protobuf parses takes many times as much
// memory, and its time is everybody's. Typed contents are among them.
inline constexpr size_t kMaxRestBytes = size_t{4} << 20;

struct SplitMessage {
  // The message without the raw contents; a message again by protobuf's rule of concatenation.
  Pieces rest;
  // Each occurrence of the raw field, in order.
  std::vector<Pieces> raw;
};

// `raw_field` is the number of a `repeated bytes` field at the top of the message. INVALID_ARGUMENT
// where the bytes are no protobuf message, or are more than the limits above.
absl::StatusOr<SplitMessage> SplitRawContents(absl::Span<const Bytes> message, uint32_t raw_field);

}  // namespace tandem::server
