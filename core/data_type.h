// Element types of tensors, with the names and the numbers of the Open Inference Protocol v2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tandem {

// The numbers equal inference.DataType of model_config.proto and travel to the workers as they
// stand.
enum class DataType : uint8_t {
  kInvalid = 0,
  kBool = 1,
  kUint8 = 2,
  kUint16 = 3,
  kUint32 = 4,
  kUint64 = 5,
  kInt8 = 6,
  kInt16 = 7,
  kInt32 = 8,
  kInt64 = 9,
  kFp16 = 10,
  kFp32 = 11,
  kFp64 = 12,
  // Strings of bytes, each behind its length as a little-endian uint32.
  kBytes = 13,
  kBf16 = 14,
};

inline constexpr int kDataTypeCount = 15;

// Bytes of one element; 0 for kBytes, whose elements differ, and for kInvalid.
size_t ElementSize(DataType type);

// "FP32", "BYTES", …; "INVALID" for kInvalid.
std::string_view DataTypeName(DataType type);

// The reverse of DataTypeName; kInvalid for a name that is none.
DataType ParseDataType(std::string_view name);

// The type with that number, kInvalid where there is none. For numbers that another process sent.
DataType DataTypeFromNumber(uint32_t number);

}  // namespace tandem
