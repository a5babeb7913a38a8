// The header of NumPy's .npy format, by xtensor's parser. The data behind it is read and written as
// raw bytes.
#pragma once

#include <istream>
#include <string>

#include "absl/status/statusor.h"
#include "core/data_type.h"
#include "core/shape.h"

namespace tandem::client {

struct NpyHeader {
  DataType type = DataType::kInvalid;
  Shape shape;
};

// Reads the header, and leaves the stream at the first byte of data. INVALID_ARGUMENT, with what to
// do, for a file that is not .npy, is in Fortran order, big-endian, of an element type that no
// model takes, or too large to count.
absl::StatusOr<NpyHeader> ReadNpyHeader(std::istream& stream);

// A header for that type, which has a NumPy equal (see HasNpyType), padded to `size` bytes where
// that is more than it needs.
std::string WriteNpyHeader(DataType type, const Shape& shape, size_t size = 0);

// False for BYTES and BF16, for which .npy has no plain type.
bool HasNpyType(DataType type);

}  // namespace tandem::client
