#include "core/data_type.h"

#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("Every data type is found by its name and its number", "[core]") {
  for (uint32_t number = 1; number < kDataTypeCount; ++number) {
    const DataType type = DataTypeFromNumber(number);
    CHECK(static_cast<uint32_t>(type) == number);
    CHECK(ParseDataType(DataTypeName(type)) == type);
    CHECK((ElementSize(type) == 0) == (type == DataType::kBytes));
  }
}

TEST_CASE("What is no data type is invalid", "[core]") {
  CHECK(DataTypeFromNumber(0) == DataType::kInvalid);
  CHECK(DataTypeFromNumber(kDataTypeCount) == DataType::kInvalid);
  CHECK(DataTypeFromNumber(~0u) == DataType::kInvalid);
  for (const char* name : {"", "fp32", "FLOAT", "INVALID", "FP32 "}) {
    CHECK(ParseDataType(name) == DataType::kInvalid);
  }
}

}  // namespace
}  // namespace tandem
