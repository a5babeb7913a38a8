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

TEST_CASE("Requests are read as perf_analyzer writes them", "[bench]") {
  const auto sets = InputsFromJson(nlohmann::json::parse(
      R"({"data": [{"x": [1, 2], "y": [[true]]}, {"x": {"content": [1, 2, 3, 4], "shape": [2, 2]}}]})"));
  REQUIRE(sets.ok());
  REQUIRE(sets->size() == 2);
  CHECK(sets->at(0).size() == 2);
  CHECK(sets->at(0)[0].shape == Shape{2});
  CHECK(sets->at(0)[1].type == DataType::kBool);
  CHECK(sets->at(1)[0].shape == Shape{2, 2});
}

TEST_CASE("A file of requests that is none is refused with the place", "[bench]") {
  const auto refusal = [](const char* text) {
    const auto sets = InputsFromJson(nlohmann::json::parse(text, nullptr, false));
    REQUIRE(absl::IsInvalidArgument(sets.status()));
    return std::string(sets.status().message());
  };
  CHECK(absl::StrContains(refusal("no json"), "\"data\""));
  CHECK(absl::StrContains(refusal("[]"), "\"data\""));
  CHECK(absl::StrContains(refusal(R"({"data": []})"), "at least one"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": 1}, 2]})"), "request 1"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"shape": [1]}}]})"),
                          "\"x\" has no \"content\""));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"content": [1], "shape": [2]}}]})"),
                          "asks for 2"));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": {"content": [1], "shape": [-1]}}]})"),
                          "\"shape\""));
  CHECK(absl::StrContains(refusal(R"({"data": [{"x": [[1], [2, 3]]}]})"), "unequal"));
}

}  // namespace
}  // namespace tandem::client
