// Reads the elements of a numeric tensor as numbers, whatever its type and however its bytes are
// cut into pieces. Copies the bytes once. Value type; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/data_type.h"
#include "core/tensor.h"

namespace tandem {

bool IsFloatingPoint(DataType type);
// BOOL counts as one.
bool IsInteger(DataType type);

class ElementReader {
 public:
  // `tensor` is numeric and holds the bytes that its shape says.
  explicit ElementReader(const Tensor& tensor);

  // Any numeric type.
  double Float(size_t index) const;
  // Integer types. Values of UINT64 above the largest int64 wrap to negative ones.
  int64_t Integer(size_t index) const;

 private:
  DataType type_;
  std::vector<std::byte> bytes_;
};

}  // namespace tandem
