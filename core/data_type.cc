#include "core/data_type.h"

#include <array>

namespace tandem {
namespace {

struct Row {
  std::string_view name;
  size_t size;
};

constexpr std::array<Row, kDataTypeCount> kRows = {{
    {"INVALID", 0},
    {"BOOL", 1},
    {"UINT8", 1},
    {"UINT16", 2},
    {"UINT32", 4},
    {"UINT64", 8},
    {"INT8", 1},
    {"INT16", 2},
    {"INT32", 4},
    {"INT64", 8},
    {"FP16", 2},
    {"FP32", 4},
    {"FP64", 8},
    {"BYTES", 0},
    {"BF16", 2},
}};

}  // namespace

size_t ElementSize(DataType type) { return kRows[static_cast<size_t>(type)].size; }

std::string_view DataTypeName(DataType type) { return kRows[static_cast<size_t>(type)].name; }

DataType ParseDataType(std::string_view name) {
  for (size_t i = 1; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<DataType>(i);
  }
  return DataType::kInvalid;
}

DataType DataTypeFromNumber(uint32_t number) {
  return number < kRows.size() ? static_cast<DataType>(number) : DataType::kInvalid;
}

}  // namespace tandem
