// The element types of tensors, in the server's words and in LibTorch's.
#pragma once

#include <c10/core/ScalarType.h>

#include <optional>

#include "core/data_type.h"

namespace tandem::worker {

// Empty for kBytes and kInvalid, which no LibTorch tensor can have.
std::optional<c10::ScalarType> ToScalarType(DataType type);

// kInvalid for the types that the protocol lacks: complex, quantised and 8-bit floats.
DataType FromScalarType(c10::ScalarType type);

}  // namespace tandem::worker
