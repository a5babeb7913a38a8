// A tensor that owns its bytes: what the client reads from files, sends, receives and writes.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/data_type.h"
#include "core/shape.h"

namespace tandem::client {

struct Array {
  // Empty: the only input of the model, whatever it is called there.
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  // Row-major, little-endian. BYTES elements stand behind their lengths (uint32, little-endian).
  std::string bytes;
  // Its type was guessed from text (CSV, JSON) rather than declared by a file: where the model
  // declares none, FP64 is sent as FP32.
  bool from_text = false;
};

// The name of the type: "FP32".
inline std::string TypeText(DataType type) { return std::string(DataTypeName(type)); }

// Number of elements; 0 where the shape cannot be counted.
int64_t CountOf(const Array& array);

// The array with elements of type `to`. Integers and booleans convert where every value is kept
// exactly; floating-point numbers may round to a narrower type, but not overflow, and become
// integers only where they have no fraction. INVALID_ARGUMENT, naming the array, the first value
// that does not fit and the type, otherwise.
absl::StatusOr<Array> Convert(Array array, DataType to);

// Checks that the bytes are what type and shape ask for. INVALID_ARGUMENT with expected and actual
// where not.
absl::Status CheckSize(const Array& array);

}  // namespace tandem::client
