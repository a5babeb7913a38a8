// Element types of arrays as C++ types, and the step from a DataType to one of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "core/data_type.h"

namespace tandem::client {

float HalfToFloat(uint16_t bits);
uint16_t FloatToHalf(float value);

// IEEE binary16.
struct Fp16 {
  uint16_t bits = 0;
  Fp16() = default;
  explicit Fp16(double value) : bits(FloatToHalf(static_cast<float>(value))) {}
  explicit operator double() const { return HalfToFloat(bits); }
};

// The upper half of a binary32.
struct Bf16 {
  uint16_t bits = 0;
  Bf16() = default;
  explicit Bf16(double value);
  explicit operator double() const;
};

// Calls `visit` with a value of the C++ type that stands for `type`, which has elements of a fixed
// size.
template <typename Visitor>
auto VisitElementType(DataType type, Visitor&& visit) {
  switch (type) {
    case DataType::kBool:
      return visit(bool{});
    case DataType::kUint16:
      return visit(uint16_t{});
    case DataType::kUint32:
      return visit(uint32_t{});
    case DataType::kUint64:
      return visit(uint64_t{});
    case DataType::kInt8:
      return visit(int8_t{});
    case DataType::kInt16:
      return visit(int16_t{});
    case DataType::kInt32:
      return visit(int32_t{});
    case DataType::kInt64:
      return visit(int64_t{});
    case DataType::kFp16:
      return visit(Fp16{});
    case DataType::kFp32:
      return visit(float{});
    case DataType::kFp64:
      return visit(double{});
    case DataType::kBf16:
      return visit(Bf16{});
    default:
      return visit(uint8_t{});
  }
}

// The element at `index`; `bytes` need not be aligned.
template <typename T>
T ElementAt(const std::string& bytes, size_t index) {
  if constexpr (sizeof(T) == 1 && std::is_same_v<T, bool>) {
    // Any byte that is not 0 is true; a bool may hold only 0 and 1.
    return bytes[index] != 0;
  } else {
    T value;
    std::memcpy(static_cast<void*>(&value), bytes.data() + index * sizeof(T), sizeof(T));
    return value;
  }
}

template <typename T>
void AppendElement(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

}  // namespace tandem::client
