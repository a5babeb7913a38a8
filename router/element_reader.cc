#include "router/element_reader.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace tandem {
namespace {

template <typename T>
T Load(const std::vector<std::byte>& bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

double FromHalf(uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const int fraction = half & 0x3ff;
  double value = 0;
  if (exponent == 0x1f) {
    value = fraction == 0 ? std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -24);
  } else {
    value = std::ldexp(fraction + 1024, exponent - 25);
  }
  return (half & 0x8000) != 0 ? -value : value;
}

double FromBfloat(uint16_t bfloat) {
  return std::bit_cast<float>(static_cast<uint32_t>(bfloat) << 16);
}

}  // namespace

bool IsFloatingPoint(DataType type) {
  return type == DataType::kFp16 || type == DataType::kBf16 || type == DataType::kFp32 ||
         type == DataType::kFp64;
}

bool IsInteger(DataType type) {
  return type != DataType::kInvalid && type != DataType::kBytes && !IsFloatingPoint(type);
}

ElementReader::ElementReader(const Tensor& tensor)
    : type_(tensor.type), bytes_(tensor.byte_size()) {
  CopyBytes(tensor, bytes_.data());
}

double ElementReader::Float(size_t index) const {
  switch (type_) {
    case DataType::kFp16:
      return FromHalf(Load<uint16_t>(bytes_, index));
    case DataType::kBf16:
      return FromBfloat(Load<uint16_t>(bytes_, index));
    case DataType::kFp32:
      return Load<float>(bytes_, index);
    case DataType::kFp64:
      return Load<double>(bytes_, index);
    case DataType::kUint64:
      return static_cast<double>(Load<uint64_t>(bytes_, index));
    default:
      return static_cast<double>(Integer(index));
  }
}

int64_t ElementReader::Integer(size_t index) const {
  switch (type_) {
    case DataType::kBool:
      return Load<uint8_t>(bytes_, index) != 0 ? 1 : 0;
    case DataType::kUint8:
      return Load<uint8_t>(bytes_, index);
    case DataType::kUint16:
      return Load<uint16_t>(bytes_, index);
    case DataType::kUint32:
      return Load<uint32_t>(bytes_, index);
    case DataType::kUint64:
      return static_cast<int64_t>(Load<uint64_t>(bytes_, index));
    case DataType::kInt8:
      return Load<int8_t>(bytes_, index);
    case DataType::kInt16:
      return Load<int16_t>(bytes_, index);
    case DataType::kInt32:
      return Load<int32_t>(bytes_, index);
    case DataType::kInt64:
      return Load<int64_t>(bytes_, index);
    default:
      return 0;
  }
}

}  // namespace tandem
