#include "server/infer_json.h"

#include <string>

#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr char kRequest[] = R"({"id": "mine", "parameters": {"timeout": 5},
  "inputs": [{"name": "x", "datatype": "INT32", "shape": [2, 2], "data": [[1, 2], [3, -4]]}],
  "outputs": [{"name": "y", "parameters": {"classification": 3}}]})";

}  // namespace

TEST_CASE("A request in JSON is read, with nested data", "[infer_json]") {
  const auto request = ParseInferJson(kRequest);
  REQUIRE(request.ok());
  CHECK(request->id() == "mine");
  CHECK(request->parameters().at("timeout").int64_param() == 5);
  REQUIRE(request->inputs_size() == 1);
  CHECK(request->inputs(0).contents().int_contents_size() == 4);
  CHECK(request->inputs(0).contents().int_contents(3) == -4);
  CHECK(request->outputs(0).name() == "y");
  // For who reads it on, to refuse it.
  CHECK(request->outputs(0).parameters().at("classification").int64_param() == 3);
}

TEST_CASE("JSON that is no request is refused", "[infer_json]") {
  const std::string refused[] = {
      "",
      "[]",
      "{",
      "{}",
      R"({"inputs": 3})",
      R"({"inputs": [3]})",
      R"({"inputs": [{"name": "x"}]})",
      R"({"inputs": [{"name": "x", "datatype": "INT32", "shape": [1], "data": ["1"]}]})",
      R"({"inputs": [{"name": "x", "datatype": "INT32", "shape": [1], "data": [5000000000]}]})",
      R"({"inputs": [{"name": "x", "datatype": "UINT8", "shape": [1], "data": [-1]}]})",
      R"({"inputs": [{"name": "x", "datatype": "INT32", "shape": [1], "data": [18446744073709551615]}]})",
      R"({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [18446744073709551615]}]})",
      R"({"inputs": [{"name": "x", "datatype": "INT64", "shape": [18446744073709551615], "data": []}]})",
      R"({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1e39]}]})",
      R"({"inputs": [], "outputs": [{"name": "y", "parameters": 1}]})",
      R"({"inputs": [], "outputs": [{}]})",
      R"({"inputs": [], "outputs": 1})",
      R"({"id": 7, "inputs": []})",
      std::string(1000000, '['),
  };
  for (const std::string& body : refused) {
    CAPTURE(body.substr(0, 100));
    CHECK(absl::IsInvalidArgument(ParseInferJson(body).status()));
  }
}

TEST_CASE("What is wrong with a tensor in JSON is told in JSON's terms", "[infer_json]") {
  const auto refusal = [](const std::string& tensor) {
    const auto request = ParseInferJson(R"({"inputs": [{"name": "x", )" + tensor + "}]}");
    CHECK(absl::IsInvalidArgument(request.status()));
    return std::string(request.status().message());
  };
  CHECK(refusal(R"("datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3])") ==
        R"(input "x": its data has 3 values, its shape [2,2] holds 4)");
  CHECK(refusal(R"("datatype": "BYTES", "shape": [], "data": [])") ==
        R"(input "x": its data has 0 values, its shape [] holds 1)");
  CHECK(refusal(R"("datatype": "FP32", "shape": [-1], "data": [1])").find(R"(input "x": )") == 0);
  CHECK(refusal(R"("datatype": "BF16", "shape": [1], "data": [1])") ==
        R"(input "x": BF16 has no form in JSON; use gRPC)");
  CHECK(refusal(R"("datatype": "FP32", "shape": [1], "data": ["1"])") ==
        R"(input "x": its data holds "1": expected FP32)");
}

TEST_CASE("An answer is written with its values by type", "[infer_json]") {
  const float values[] = {1.5F, -2.0F};
  InferResponse response;
  response.model = "echo";
  response.version = 1;
  Tensor& output = response.outputs.emplace_back();
  output.name = "y";
  output.type = DataType::kFp32;
  output.shape = {2};
  output.pieces.push_back(Bytes(reinterpret_cast<const std::byte*>(values), sizeof(values)));
  const auto body = WriteInferJson(response, "mine", false);
  REQUIRE(body.ok());
  CHECK(body->at("outputs").at(0).at("data").dump() == "[1.5,-2.0]");
  CHECK(body->at("id").get<std::string>() == "mine");
  CHECK_FALSE(body->contains("parameters"));

  response.placement.worker = "cpu/0";
  response.placement.batch_size = 4;
  const auto placed = WriteInferJson(response, "mine", true);
  REQUIRE(placed.ok());
  CHECK(placed->at("parameters").at("tandem_worker") == "cpu/0");
  CHECK(placed->at("parameters").at("tandem_batch_size") == 4);
  CHECK(placed->at("parameters").at("tandem_queue_us") == 0.0);
  response.placement.reason = PlacementReason::kOtherDown;
  const auto fallback = WriteInferJson(response, "mine", false);
  REQUIRE(fallback.ok());
  CHECK(fallback->at("parameters").at("spill_reason") == "other_pool_down");

  output.type = DataType::kFp16;
  CHECK(absl::IsInvalidArgument(WriteInferJson(response, "", false).status()));
  response.status = absl::NotFoundError("gone");
  CHECK(absl::IsNotFound(WriteInferJson(response, "", false).status()));
}

}  // namespace tandem::server
