#include "server/response_encoder.h"

#include <string>

#include "server/predict_encoder.h"
#include "tandem.pb.h"
#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

// A response with the output "y" of type UINT8 that holds `bytes`, which must outlive it.
InferResponse ResponseOf(const std::string& bytes) {
  InferResponse response;
  response.model = "echo";
  response.version = 3;
  Tensor& output = response.outputs.emplace_back();
  output.name = "y";
  output.type = DataType::kUint8;
  output.shape = {1, static_cast<int64_t>(bytes.size())};
  output.pieces.push_back(Bytes(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()));
  response.placement.pool = "cpu";
  response.placement.worker = "cpu/0";
  response.placement.batch_size = 4;
  return response;
}

}  // namespace

TEST_CASE("A response tells model, version, id and outputs", "[response_encoder]") {
  const std::string bytes(3000, 'q');
  inference::ModelInferResponse read;
  REQUIRE(read.ParseFromString(BufferText(EncodeInferResponse(ResponseOf(bytes), "mine", false))));
  CHECK(read.model_name() == "echo");
  CHECK(read.model_version() == "3");
  CHECK(read.id() == "mine");
  REQUIRE(read.outputs_size() == 1);
  CHECK(read.outputs(0).name() == "y");
  CHECK(read.outputs(0).datatype() == "UINT8");
  CHECK(read.outputs(0).shape(1) == 3000);
  CHECK(read.raw_output_contents(0) == bytes);
  CHECK(read.parameters().empty());
}

TEST_CASE("Placement is told to those who ask for it", "[response_encoder]") {
  const std::string bytes = "q";
  const auto message = MakeInferResponse(ResponseOf(bytes), "", true);
  CHECK(message.parameters().at("tandem_pool").string_param() == "cpu");
  CHECK(message.parameters().at("tandem_worker").string_param() == "cpu/0");
  CHECK(message.parameters().at("tandem_batch_size").int64_param() == 4);
  CHECK(message.raw_output_contents(0) == bytes);
}

TEST_CASE("A fallback is told to all", "[response_encoder]") {
  const std::string bytes = "q";
  InferResponse response = ResponseOf(bytes);
  for (const PlacementReason reason :
       {PlacementReason::kOtherDown, PlacementReason::kSooner, PlacementReason::kDeadline}) {
    response.placement.reason = reason;
    inference::ModelInferResponse read;
    REQUIRE(read.ParseFromString(BufferText(EncodeInferResponse(response, "", false))));
    CHECK(read.parameters().at("tandem_pool").string_param() == "cpu");
    CHECK(read.parameters().at("spill_reason").string_param() == PlacementReasonName(reason));
    CHECK(MakeInferResponse(response, "", false).parameters().contains("tandem_worker"));
  }
  response.placement.reason = PlacementReason::kFirstChoice;
  CHECK(MakeInferResponse(response, "", false).parameters().empty());
}

TEST_CASE("A merged reply points each result to its bytes, and streams the same", "[encoder]") {
  const std::string first(2000, 'a');
  const std::string second = "bb";
  MergedPredict merged;
  merged.id = "mine";
  merged.results.push_back({"one", ResponseOf(first)});
  merged.results.push_back({"two", ResponseOf(second)});
  merged.results.push_back({"three", InferResponse{}});
  merged.results[2].response.status = absl::NotFoundError("there is no such model");
  auto combined = std::make_shared<CombinedTensor>();
  combined->bytes.assign(4, std::byte{'c'});
  combined->tensor.name = "combined";
  combined->tensor.type = DataType::kFp32;
  combined->tensor.shape = {1};
  combined->tensor.pieces.push_back(Bytes(combined->bytes.data(), combined->bytes.size()));
  merged.combined = combined;

  v1::PredictResponse read;
  REQUIRE(read.ParseFromString(BufferText(EncodePredictResponse(merged))));
  CHECK(read.id() == "mine");
  REQUIRE(read.results_size() == 3);
  REQUIRE(read.raw_output_contents_size() == 3);
  CHECK(read.raw_output_contents(static_cast<int>(read.results(0).first_raw_output())) == first);
  CHECK(read.raw_output_contents(static_cast<int>(read.results(1).first_raw_output())) == second);
  CHECK(read.raw_output_contents(static_cast<int>(read.combined_raw_output())) == "cccc");
  CHECK(read.results(1).placement().worker() == "cpu/0");
  CHECK(read.results(2).status_code() == 5);
  CHECK(read.results(2).status_message() == "there is no such model");
  CHECK_FALSE(read.results(2).has_placement());

  v1::PredictStreamResponse last;
  REQUIRE(last.ParseFromString(BufferText(EncodeStreamMerged(merged))));
  CHECK(last.merged().SerializeAsString() == read.SerializeAsString());
  v1::PredictStreamResponse part;
  REQUIRE(part.ParseFromString(BufferText(EncodeStreamResult(merged.results[0], TimePoint{}))));
  CHECK(part.result().key() == "one");
  CHECK(part.raw_output_contents(0) == first);
}

}  // namespace tandem::server
