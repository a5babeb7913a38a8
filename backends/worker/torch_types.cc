#include "backends/worker/torch_types.h"

#include <array>
#include <utility>

namespace tandem::worker {
namespace {

constexpr std::array<std::pair<DataType, c10::ScalarType>, 13> kTypes = {{
    {DataType::kBool, c10::ScalarType::Bool},
    {DataType::kUint8, c10::ScalarType::Byte},
    {DataType::kUint16, c10::ScalarType::UInt16},
    {DataType::kUint32, c10::ScalarType::UInt32},
    {DataType::kUint64, c10::ScalarType::UInt64},
    {DataType::kInt8, c10::ScalarType::Char},
    {DataType::kInt16, c10::ScalarType::Short},
    {DataType::kInt32, c10::ScalarType::Int},
    {DataType::kInt64, c10::ScalarType::Long},
    {DataType::kFp16, c10::ScalarType::Half},
    {DataType::kFp32, c10::ScalarType::Float},
    {DataType::kFp64, c10::ScalarType::Double},
    {DataType::kBf16, c10::ScalarType::BFloat16},
}};

}  // namespace

std::optional<c10::ScalarType> ToScalarType(DataType type) {
  for (const auto& [data_type, scalar_type] : kTypes) {
    if (data_type == type) return scalar_type;
  }
  return std::nullopt;
}

DataType FromScalarType(c10::ScalarType type) {
  for (const auto& [data_type, scalar_type] : kTypes) {
    if (scalar_type == type) return data_type;
  }
  return DataType::kInvalid;
}

}  // namespace tandem::worker
