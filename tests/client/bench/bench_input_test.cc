#include "client/bench/bench_input.h"

#include <cstring>

#include "absl/strings/match.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

TensorSpec Spec(std::string name, DataType type, Shape dims) {
  TensorSpec spec;
  spec.name = std::move(name);
  spec.type = type;
  spec.dims = std::move(dims);
  spec.any_shape = spec.dims.empty();
  return spec;
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST_CASE("Made-up inputs have the model's names, types and sizes", "[bench]") {
  const Signature signature{
      "m",
      {Spec("x", DataType::kFp32, {-1, 3}), Spec("n", DataType::kInt64, {-1, 1}),
       Spec("word", DataType::kBytes, {-1, 2})}};
  const auto inputs = MakeUpInputs(signature, {false, 4, {}});
  REQUIRE(inputs.ok());
  REQUIRE(inputs->size() == 3);
  for (const Array& array : *inputs) {
    INFO(array.name);
    CHECK(array.shape[0] == 4);
    CHECK(CheckSize(array).ok());
  }
  const Array& x = inputs->front();
  CHECK(x.name == "x");
  CHECK(x.shape == Shape{4, 3});
  float values[12];
  std::memcpy(values, x.bytes.data(), sizeof(values));
  for (const float value : values) CHECK((value >= 0 && value < 1));
  CHECK(values[0] != values[1]);
  CHECK(MakeUpInputs(signature, {false, 4, {}})->front().bytes == x.bytes);
}

TEST_CASE("Zeros are zeros", "[bench]") {
  const Signature signature{"m", {Spec("x", DataType::kFp16, {2, 2})}};
  CHECK(MakeUpInputs(signature, {true, 1, {}})->front().bytes == std::string(8, '\0'));
}

TEST_CASE("Open sizes are given by --shape, and asked for where they are not", "[bench]") {
  const Signature signature{"m", {Spec("x", DataType::kFp32, {-1, 3, -1})}};
  const auto refused = MakeUpInputs(signature, {});
  REQUIRE(absl::IsInvalidArgument(refused.status()));
  CHECK(absl::StrContains(Message(refused.status()), "\"x\""));
  CHECK(absl::StrContains(Message(refused.status()), "--shape x:D1,D2"));
  for (const char* text : {"x:3,5", "3,5"}) {
    const auto inputs = MakeUpInputs(signature, {false, 2, *ParseShapes({text})});
    REQUIRE(inputs.ok());
    CHECK(inputs->front().shape == Shape{2, 3, 5});
  }
  CHECK(absl::StrContains(
      Message(MakeUpInputs(signature, {false, 1, *ParseShapes({"y:1"})}).status()), "\"y\""));
}

TEST_CASE("A model that says neither shape nor type is asked about", "[bench]") {
  const Signature shapeless{"m", {Spec("x", DataType::kFp32, {})}};
  CHECK(absl::StrContains(Message(MakeUpInputs(shapeless, {}).status()), "--shape x:"));
  const auto given = MakeUpInputs(shapeless, {false, 1, *ParseShapes({"2,2"})});
  REQUIRE(given.ok());
  CHECK(given->front().shape == Shape{2, 2});
  const Signature typeless{"m", {Spec("x", DataType::kInvalid, {1})}};
  CHECK(absl::StrContains(Message(MakeUpInputs(typeless, {}).status()), "type of input \"x\""));
}

TEST_CASE("A shape that is none is refused", "[bench]") {
  for (const char* text : {"", "x:", "x:a", "x:1,-1", "1,1,1,1,1,1,1,1,1,1"}) {
    INFO(text);
    CHECK(absl::IsInvalidArgument(ParseShapes({text}).status()));
  }
}

TEST_CASE("A shape may have all of the model's dimensions", "[bench]") {
  // Of a model that does not batch, or with the batch.
  const Signature signature{"m", {Spec("x", DataType::kFp32, {-1, -1})}};
  CHECK(MakeUpInputs(signature, {true, 1, *ParseShapes({"2,3"})})->front().shape == Shape{2, 3});
  CHECK(MakeUpInputs(signature, {true, 2, *ParseShapes({"2,3"})})->front().shape == Shape{2, 3});
  CHECK(MakeUpInputs(signature, {true, 4, *ParseShapes({"3"})})->front().shape == Shape{4, 3});
  const auto refused = MakeUpInputs(signature, {true, 4, *ParseShapes({"2,3"})});
  REQUIRE(absl::IsInvalidArgument(refused.status()));
  CHECK(absl::StrContains(Message(refused.status()), "--batch 4"));
}

TEST_CASE("Made-up requests are bounded before anything is allocated", "[bench]") {
  const Signature open{"m", {Spec("x", DataType::kFp32, {-1, -1})}};
  for (const char* shape : {"9223372036854775807", "2,9223372036854775807", "16384,16385"}) {
    INFO(shape);
    const auto inputs = MakeUpInputs(open, {true, 1, *ParseShapes({shape})});
    REQUIRE(absl::IsInvalidArgument(inputs.status()));
    CHECK(absl::StrContains(Message(inputs.status()), "1024 MiB"));
  }
  const Signature row{"m", {Spec("x", DataType::kFp32, {-1, 3, 224, 224})}};
  CHECK(absl::IsInvalidArgument(MakeUpInputs(row, {true, 65536, {}}).status()));
  const int64_t half = int64_t{1} << 29;
  const std::vector<TensorSpec> halves{Spec("x", DataType::kInt8, {half}),
                                       Spec("y", DataType::kInt8, {half + 1})};
  for (const Signature& told :
       {Signature{"m", {Spec("x", DataType::kFp32, {int64_t{1} << 34})}},
        Signature{"m", {Spec("x", DataType::kFp32, {int64_t{1} << 62, int64_t{1} << 62})}},
        Signature{"m", {Spec("x", DataType::kBytes, {half / 4})}}, Signature{"m", halves},
        Signature{"m", {Spec("x", DataType::kInt8, Shape(9, 1))}},
        Signature{"m", std::vector<TensorSpec>(5000, Spec("x", DataType::kInt8, {1}))}}) {
    CHECK(absl::IsFailedPrecondition(MakeUpInputs(told, {true, 1, {}}).status()));
  }
}

TEST_CASE("Requests are read as perf_analyzer writes them", "[bench]") {
  const auto sets = InputsFromJson(
      nlohmann::json::parse(
          R"({"data": [{"x": [1, 2], "y": [[true]]}, {"x": {"content": [1, 2, 3, 4], "shape": [2, 2]}}]})"),
      {});
  REQUIRE(sets.ok());
  REQUIRE(sets->size() == 2);
  CHECK(sets->at(0).size() == 2);
  CHECK(sets->at(0)[0].shape == Shape{2});
  CHECK(sets->at(0)[1].type == DataType::kBool);
  CHECK(sets->at(1)[0].shape == Shape{2, 2});
}

TEST_CASE("Bytes in Base64 are the tensor's own", "[bench]") {
  const Signature signature{
      "m", {Spec("x", DataType::kFp16, {-1, 2}), Spec("word", DataType::kBytes, {-1, 2})}};
  // 1 and 2; "ab" and "".
  const auto sets =
      InputsFromJson(nlohmann::json::parse(R"({"data": [{"x": {"b64": "ADwAQA==", "shape": [1, 2]}},
                                         {"word": {"b64": "AgAAAGFiAAAAAA=="}}]})"),
                     signature);
  REQUIRE(sets.ok());
  const Array& x = sets->at(0)[0];
  CHECK(x.type == DataType::kFp16);
  CHECK(x.shape == Shape{1, 2});
  CHECK(x.bytes == std::string("\0\x3c\0\x40", 4));
  const Array& word = sets->at(1)[0];
  CHECK(word.shape == Shape{2});
  CHECK(word.bytes.size() == 10);
}

TEST_CASE("A file of requests that is none is refused with the place", "[bench]") {
  const auto refusal = [](const char* text) {
    const Signature signature{
        "m", {Spec("x", DataType::kFp32, {-1, 2}), Spec("word", DataType::kBytes, {-1, 1})}};
    const auto sets = InputsFromJson(nlohmann::json::parse(text, nullptr, false), signature);
    REQUIRE(absl::IsInvalidArgument(sets.status()));
    return std::string(sets.status().message());
  };
  CHECK(absl::StrContains(refusal("no json"), "\"data\""));
  CHECK(absl::StrContains(refusal("[]"), "\"data\""));
  CHECK(absl::StrContains(refusal(R"({"data": []})"), "at least one"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": 1}, 2]})"), "request 1"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"shape": [1]}}]})"),
                          "\"x\" has neither \"content\""));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"content": [1], "shape": [2]}}]})"),
                          "asks for 2"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"content": [1], "shape": [-1]}}]})"),
                          "\"shape\""));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": [[1], [2, 3]]}]})"), "unequal"));
  // Their product is 1 where it wraps around.
  CHECK(absl::StrContains(
      refusal(
          R"({"data": [{"x": {"content": [1], "shape": [18446744073709551615, 18446744073709551615]}}]})"),
      "\"shape\""));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"content": [1], "shape": 1}}]})"),
                          "expected a list"));
  CHECK(absl::StrContains(refusal(R"({"data": [[{"x": [1]}], [{"x": [2]}]]})"), "sequences"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"b64": "?"}}]})"), "not Base64"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"b64": 7}}]})"), "not Base64"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"b64": "AAAA"}}]})"), "3 bytes"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"word": {"b64": "AgAAAGE="}}]})"), "no strings"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"y": {"b64": "AAAA"}}]})"), "type"));
}

}  // namespace
}  // namespace tandem::client
