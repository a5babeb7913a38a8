#include "router/request_validation.h"

#include <limits>
#include <string>

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

// The message of the refusal; fails the test where the request is taken.
std::string Refusal(const ModelConfig& config, InferRequest request) {
  const auto checked = CheckRequest(*Version(config), request);
  REQUIRE_FALSE(checked.ok());
  CHECK(checked.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(checked.status().message());
}

InferRequest With(std::vector<Tensor> inputs) {
  InferRequest request;
  request.model = "m";
  request.inputs = std::move(inputs);
  return request;
}

ModelConfig TwoInputs() {
  ModelConfig config = BatchingModel();
  config.inputs.push_back(Spec("z", DataType::kInt64, {-1}));
  return config;
}

TEST_CASE("A request that fits is brought into the model's order", "[validation]") {
  InferRequest request =
      With({MakeTensor("z", DataType::kInt64, {2, 3}), MakeTensor("x", DataType::kFp32, {2, 4})});
  const auto checked = CheckRequest(*Version(TwoInputs()), request);
  REQUIRE(checked.ok());
  CHECK(checked->rows == 2);
  CHECK(checked->bytes == 2 * 3 * 8 + 2 * 4 * 4);
  REQUIRE(checked->tensors.size() == 2);
  CHECK(checked->tensors[0].name == "x");
  CHECK(checked->tensors[1].name == "z");
}

TEST_CASE("A left-out optional input has no type, and its place", "[validation]") {
  ModelConfig config = TwoInputs();
  config.inputs[0].optional = true;
  InferRequest request = With({MakeTensor("z", DataType::kInt64, {2, 3})});
  const auto checked = CheckRequest(*Version(config), request);
  REQUIRE(checked.ok());
  CHECK(checked->tensors[0].type == DataType::kInvalid);
  CHECK(checked->tensors[1].name == "z");
  CHECK(checked->rows == 2);
}

TEST_CASE("Names that do not fit are refused with the names that would", "[validation]") {
  CHECK(Refusal(BatchingModel(), With({MakeTensor("w", DataType::kFp32, {1, 4})})) ==
        "model \"m\" has no input \"w\"; its inputs are: \"x\"");
  CHECK(Refusal(TwoInputs(), With({MakeTensor("x", DataType::kFp32, {1, 4})})) ==
        "model \"m\", input \"z\": it is missing; the model's inputs are: \"x\", \"z\"");
  CHECK(Refusal(BatchingModel(), With({MakeTensor("x", DataType::kFp32, {1, 4}),
                                       MakeTensor("x", DataType::kFp32, {1, 4})})) ==
        "model \"m\", input \"x\": the request holds it twice");
}

TEST_CASE("A name that is long or not printable is cut and escaped in messages", "[validation]") {
  const std::string message = Refusal(
      BatchingModel(), With({MakeTensor("\n" + std::string(5000, 'a'), DataType::kFp32, {1, 4})}));
  CHECK(message.size() < 300);
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("Types that do not fit are refused", "[validation]") {
  CHECK(Refusal(BatchingModel(), With({MakeTensor("x", DataType::kFp64, {1, 4})})) ==
        "model \"m\", input \"x\": expected data type FP32, got FP64");
  Tensor untyped = MakeTensor("x", DataType::kFp32, {1, 4});
  untyped.type = DataType::kInvalid;
  CHECK(Refusal(BatchingModel(), With({untyped})) ==
        "model \"m\", input \"x\": it has no data type; give one, for example FP32");
}

TEST_CASE("Shapes that do not fit are refused with both shapes", "[validation]") {
  const auto refusal = [](Shape shape) {
    return Refusal(BatchingModel(), With({MakeTensor("x", DataType::kFp32, std::move(shape))}));
  };
  CHECK(refusal({1, 5}) == "model \"m\", input \"x\": expected shape [-1,4], got [1,5]");
  CHECK(
      refusal({4}) ==
      "model \"m\", input \"x\": expected shape [-1,4], got [4]; the batch dimension comes first");
  CHECK(refusal({1, 4, 1}) == "model \"m\", input \"x\": expected shape [-1,4], got [1,4,1]");
  CHECK(refusal({0, 4}) ==
        "model \"m\", input \"x\": the batch in shape [0,4] has no rows; send at least one");
  CHECK(refusal({9, 4}) ==
        "model \"m\", input \"x\": expected at most 8 rows (max_batch_size), got 9; "
        "send it in several requests");
}

TEST_CASE("A dimension of any size may be zero", "[validation]") {
  ModelConfig config = BatchingModel();
  config.inputs[0].dims = {-1};
  InferRequest request = With({MakeTensor("x", DataType::kFp32, {1, 0})});
  CHECK(CheckRequest(*Version(config), request).ok());
}

TEST_CASE("A model without batch dimension takes exactly its shape", "[validation]") {
  ModelConfig config = BatchingModel();
  config.max_batch_size = 0;
  InferRequest request = With({MakeTensor("x", DataType::kFp32, {4})});
  const auto checked = CheckRequest(*Version(config), request);
  REQUIRE(checked.ok());
  CHECK(checked->rows == 1);
  CHECK(Refusal(config, With({MakeTensor("x", DataType::kFp32, {1, 4})})) ==
        "model \"m\", input \"x\": expected shape [4], got [1,4]");
}

TEST_CASE("A model that does not say its shape still needs a batch dimension", "[validation]") {
  ModelConfig config = BatchingModel();
  config.inputs[0].any_shape = true;
  CHECK(Refusal(config, With({MakeTensor("x", DataType::kFp32, {})})).find("got a scalar") !=
        std::string::npos);
  InferRequest request = With({MakeTensor("x", DataType::kFp32, {2, 3, 5})});
  const auto checked = CheckRequest(*Version(config), request);
  REQUIRE(checked.ok());
  CHECK(checked->rows == 2);
}

TEST_CASE("Shapes that are negative, overflow or have too many dimensions are refused",
          "[validation]") {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  ModelConfig config = BatchingModel();
  config.inputs[0].any_shape = true;
  for (const Shape& shape : {Shape{1, -4}, Shape{-1, 4}, Shape{huge, huge}, Shape{0, huge, huge},
                             Shape(9, 1), Shape(100000, 1)}) {
    Tensor tensor = MakeTensor("x", DataType::kFp32, {1, 4});
    tensor.shape = shape;
    CHECK(Refusal(config, With({tensor})).size() < 300);
  }
  // Counts as elements, but not as bytes.
  Tensor tensor = MakeTensor("x", DataType::kFp32, {1, 4});
  tensor.shape = {1, huge / 2};
  CHECK(Refusal(config, With({tensor})).find("more bytes than can be counted") !=
        std::string::npos);
}

TEST_CASE("A byte length that does not fit the shape is refused", "[validation]") {
  Tensor tensor = MakeTensor("x", DataType::kFp32, {1, 4});
  tensor.shape = {2, 4};
  CHECK(Refusal(BatchingModel(), With({tensor})) ==
        "model \"m\", input \"x\": expected 32 bytes for FP32 [2,4], got 16");
}

TEST_CASE("Strings are counted by their lengths", "[validation]") {
  ModelConfig config = BatchingModel();
  config.inputs[0] = Spec("x", DataType::kBytes, {1});
  const std::vector<uint8_t> bytes = {2, 0, 0, 0, 'h', 'i', 0, 0, 0, 0};
  InferRequest request = With({TensorOf("x", DataType::kBytes, {2, 1}, bytes)});
  CHECK(CheckRequest(*Version(config), request).ok());
  CHECK(Refusal(config, With({TensorOf("x", DataType::kBytes, {3, 1}, bytes)})) ==
        "model \"m\", input \"x\": expected 3 strings, got 2");
  const std::vector<uint8_t> cut = {200, 0, 0, 0, 'h', 'i'};
  CHECK(Refusal(config, With({TensorOf("x", DataType::kBytes, {1, 1}, cut)})).find("200 bytes") !=
        std::string::npos);
}

TEST_CASE("Inputs with different numbers of rows are refused", "[validation]") {
  CHECK(Refusal(TwoInputs(), With({MakeTensor("x", DataType::kFp32, {2, 4}),
                                   MakeTensor("z", DataType::kInt64, {3, 1})})) ==
        "model \"m\", input \"z\": expected 2 rows as in input \"x\", got 3; all inputs of a "
        "request have the same batch dimension");
}

TEST_CASE("Outputs that the model does not have are refused", "[validation]") {
  InferRequest request = With({MakeTensor("x", DataType::kFp32, {1, 4})});
  request.requested_outputs = {"logits"};
  CHECK(Refusal(BatchingModel(), request) ==
        "model \"m\" has no output \"logits\"; its outputs are: \"y\"");
  ModelConfig config = BatchingModel();
  config.outputs.push_back(Spec("w", DataType::kFp32, {4}));
  request.requested_outputs = {"y", "y"};
  CHECK(Refusal(config, request) == "model \"m\", output \"y\": the request asks for it twice");
}

}  // namespace
}  // namespace tandem
