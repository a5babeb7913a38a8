// Shapes, and the one place where sizes are computed from them. All arithmetic on numbers that a
// client or a worker sent goes through here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/data_type.h"

namespace tandem {

// Dimensions, outermost first. Empty: a scalar.
using Shape = absl::InlinedVector<int64_t, 4>;

// Most dimensions a tensor can have here.
inline constexpr size_t kMaxRank = 8;

// Product of the dimensions. INVALID_ARGUMENT for a negative dimension, more than kMaxRank
// dimensions, or a product above the largest int64.
absl::StatusOr<int64_t> ElementCount(absl::Span<const int64_t> shape);

// Bytes of a tensor of that type and shape, not for kBytes. INVALID_ARGUMENT as ElementCount, and
// for a product above the largest int64.
absl::StatusOr<size_t> ByteSize(DataType type, absl::Span<const int64_t> shape);

// "[1,3,224,224]".
std::string ShapeToString(absl::Span<const int64_t> shape);

}  // namespace tandem
