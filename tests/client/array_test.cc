#include "client/array.h"

#include <cmath>
#include <limits>

#include "client/array_json.h"
#include "client/element.h"
#include "tests/client/arrays.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

TEST_CASE("Every half converts to float and back unchanged", "[client]") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = HalfToFloat(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      CHECK(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else if (FloatToHalf(value) != bits) {
      FAIL("half " << bits << " became " << FloatToHalf(value));
    }
  }
}

TEST_CASE("Halves round to the nearest, ties to even, and overflow to infinity", "[client]") {
  CHECK(FloatToHalf(1.0f + 0x1p-11f) == FloatToHalf(1.0f));
  CHECK(FloatToHalf(1.0f + 3 * 0x1p-11f) == FloatToHalf(1.0f) + 2);
  CHECK(FloatToHalf(65519.0f) == 0x7bff);
  CHECK(FloatToHalf(65520.0f) == 0x7c00);
  CHECK(FloatToHalf(0x1p-25f) == 0);
}

TEST_CASE("Numbers convert where their values are kept", "[client]") {
  const Array integers = ArrayOf<int64_t>("x", DataType::kInt64, {3}, {-1, 0, 16000});
  CHECK(ValuesOf<float>(*Convert(integers, DataType::kFp32)) == std::vector<float>{-1, 0, 16000});
  CHECK(ValuesOf<int16_t>(*Convert(integers, DataType::kInt16)) ==
        std::vector<int16_t>{-1, 0, 16000});
  const Array doubles = ArrayOf<double>("x", DataType::kFp64, {2}, {0.1, 3});
  CHECK(ValuesOf<float>(*Convert(doubles, DataType::kFp32)) == std::vector<float>{0.1f, 3});
}

TEST_CASE("Numbers that another type cannot hold are refused by name", "[client]") {
  const auto refused = [](const Array& array, DataType to, const char* what) {
    const absl::StatusOr<Array> converted = Convert(array, to);
    REQUIRE(absl::IsInvalidArgument(converted.status()));
    CHECK(std::string(converted.status().message()).find(what) != std::string::npos);
  };
  const Array minus = ArrayOf<int64_t>("x", DataType::kInt64, {2}, {1, -1});
  refused(minus, DataType::kUint8, "\"x\" holds -1 at element 1, which UINT8");
  refused(minus, DataType::kUint64, "-1");
  refused(minus, DataType::kBool, "-1");
  refused(ArrayOf<int64_t>("x", DataType::kInt64, {1}, {(1 << 24) + 1}), DataType::kFp32,
          "16777217");
  refused(ArrayOf<double>("x", DataType::kFp64, {1}, {1.5}), DataType::kInt32, "1.5");
  refused(ArrayOf<double>("x", DataType::kFp64, {1}, {1e300}), DataType::kFp32, "FP32");
  refused(ArrayOf<double>("x", DataType::kFp64, {1}, {0x1p63}), DataType::kInt64, "INT64");
  refused(ArrayOf<uint64_t>("x", DataType::kUint64, {1}, {std::numeric_limits<uint64_t>::max()}),
          DataType::kInt64, "18446744073709551615");
}

TEST_CASE("JSON becomes an array of the type that holds all of its values", "[client]") {
  const auto parse = [](const char* text) {
    return ArrayFromJson("x", nlohmann::json::parse(text));
  };
  CHECK(parse("[[1,2],[3,4]]")->shape == Shape{2, 2});
  CHECK(parse("[[1,2],[3,4]]")->type == DataType::kInt64);
  CHECK(parse("[1,2.5]")->type == DataType::kFp64);
  CHECK(parse("true")->type == DataType::kBool);
  CHECK(parse("true")->shape.empty());
  CHECK(parse("[\"a\",\"bc\"]")->bytes == std::string("\1\0\0\0a\2\0\0\0bc", 11));
  for (const char* bad :
       {"[[1,2],[3]]", "[1,[2]]", "[1,\"a\"]", "[null]", "{}", "[true,1]", "[[[[[[[[[1]]]]]]]]]"}) {
    INFO(bad);
    CHECK(absl::IsInvalidArgument(parse(bad).status()));
  }
}

TEST_CASE("An array comes back from JSON as it went", "[client]") {
  const Array floats = ArrayOf<float>("x", DataType::kFp32, {1, 2}, {0.1f, -3});
  CHECK(DumpJson(ArrayToJson(floats)) == "[[0.1,-3.0]]");
  Array nan = ArrayOf<float>("x", DataType::kFp32, {1}, {std::nanf("")});
  CHECK(DumpJson(ArrayToJson(nan)) == "[null]");
  const Array text = *ArrayFromJson("x", nlohmann::json::parse("[\"a\",\"\"]"));
  CHECK(DumpJson(ArrayToJson(text)) == "[\"a\",\"\"]");
  CHECK(ArrayToLine(floats) == "FP32[1,2] 0.1, -3");
}

}  // namespace
}  // namespace tandem::client
