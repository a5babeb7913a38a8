#include "client/predict_plan.h"

#include "client/dataset/reply_rows.h"
#include "client/input_argument.h"
#include "tests/client/arrays.h"
#include "tests/client/scratch_folder.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

Signature Takes(const std::string& model, DataType type, Shape dims) {
  return {model, {{"x", type, std::move(dims), false, false}}};
}

v1::PredictRequest RequestFor(std::vector<std::string> cpu, std::vector<std::string> gpu) {
  PredictTemplate words;
  words.cpu_models = std::move(cpu);
  words.gpu_models = std::move(gpu);
  return *MakeRequest(words);
}

std::vector<Array> RowOf(std::vector<double> values) {
  Array array = ArrayOf<double>("", DataType::kFp64, {static_cast<int64_t>(values.size())}, values);
  array.from_text = true;
  return {array};
}

TEST_CASE("Models that take the same share the request's inputs", "[client]") {
  const PredictPlan plan(
      RequestFor({"a"}, {"b"}),
      {Takes("a", DataType::kFp32, {-1, 4}), Takes("b", DataType::kFp32, {-1, 4})}, {}, true);
  const std::vector<std::vector<Array>> rows = {RowOf({1, 2, 3, 4}), RowOf({5, 6, 7, 8})};
  REQUIRE(plan.CanJoin(rows[0], rows[1]));
  const auto request = plan.Build(rows);
  REQUIRE(request.ok());
  REQUIRE(request->inputs_size() == 1);
  CHECK(request->inputs(0).datatype() == "FP32");
  CHECK(request->inputs(0).shape(0) == 2);
  CHECK(request->inputs(0).shape(1) == 4);
  CHECK(request->raw_input_contents(0).size() == 32);
  CHECK(request->cpu_models(0).inputs_size() == 0);
  CHECK(request->gpu_models(0).inputs_size() == 0);
}

TEST_CASE("A model that takes another type or shape gets inputs of its own", "[client]") {
  const PredictPlan plan(
      RequestFor({"a"}, {"b"}),
      {Takes("a", DataType::kFp32, {-1, 4}), Takes("b", DataType::kInt32, {-1, 1, 2, 2})}, {},
      true);
  const std::vector<Array> row = RowOf({1, 2, 3, 4});
  const auto request = plan.Build({&row, 1});
  REQUIRE(request.ok());
  REQUIRE(request->gpu_models(0).inputs_size() == 1);
  CHECK(request->gpu_models(0).inputs(0).name() == "x");
  CHECK(request->gpu_models(0).inputs(0).datatype() == "INT32");
  CHECK(request->gpu_models(0).inputs(0).shape_size() == 4);
  const std::vector<Array> fraction = RowOf({1, 2, 3, 4.5});
  CHECK(absl::IsInvalidArgument(plan.Build({&fraction, 1}).status()));
}

TEST_CASE("A model that the server does not know is asked without inputs of its own", "[client]") {
  const PredictPlan plan(
      RequestFor({"unknown", "a"}, {"also_unknown"}),
      {{"unknown", {}, false}, Takes("a", DataType::kFp32, {-1, 4}), {"also_unknown", {}, false}},
      {}, true);
  const std::vector<std::vector<Array>> rows = {RowOf({1, 2, 3, 4}), RowOf({5, 6, 7, 8})};
  CHECK(plan.CanJoin(rows[0], rows[1]));
  const auto request = plan.Build(rows);
  REQUIRE(request.ok());
  REQUIRE(request->inputs_size() == 1);
  CHECK(request->inputs(0).shape(0) == 2);
  REQUIRE(request->cpu_models_size() == 2);
  for (const v1::ModelCall& call : request->cpu_models()) CHECK(call.inputs_size() == 0);
  CHECK(request->gpu_models(0).inputs_size() == 0);
}

TEST_CASE("Constants go with each row to the input of their name", "[client]") {
  Signature speech{
      "vad",
      {{"x", DataType::kFp32, {-1}, false, false}, {"sr", DataType::kInt64, {1}, false, false}}};
  const PredictPlan plan(RequestFor({"vad"}, {}), {speech}, {*ParseInputArgument("sr=[16000]")},
                         true);
  const std::vector<Array> row = RowOf({0.5, 0.25});
  const auto request = plan.Build({&row, 1});
  INFO(request.status().ToString());
  REQUIRE(request.ok());
  REQUIRE(request->inputs_size() == 2);
  CHECK(request->inputs(0).name() == "x");
  CHECK(request->inputs(1).name() == "sr");
  CHECK(request->inputs(1).datatype() == "INT64");
  CHECK_FALSE(plan.CanJoin(row, row));
}

TEST_CASE("A model asked of both pools has two names in the reply", "[client]") {
  const PredictPlan plan(RequestFor({"a"}, {"a"}), {}, {}, true);
  CHECK(plan.Keys() == std::vector<std::string>{"a", "a@gpu"});
}

TEST_CASE("Words of the command line that mean nothing are refused", "[client]") {
  PredictTemplate words;
  CHECK(absl::IsInvalidArgument(MakeRequest(words).status()));
  words.models = {"a:3"};
  CHECK(MakeRequest(words)->models(0).version() == "3");
  words.combine_outputs = {"a"};
  CHECK(absl::IsInvalidArgument(MakeRequest(words).status()));
  words.combine = "weighted_mean";
  words.combine_outputs = {"a:y:0.5"};
  CHECK(MakeRequest(words)->combine().members(0).weight() == 0.5);
  words.combine_outputs = {"a:y:-1"};
  CHECK(absl::IsInvalidArgument(MakeRequest(words).status()));
  words.combine_outputs.clear();
  words.merge_policy = "some";
  CHECK(absl::IsInvalidArgument(MakeRequest(words).status()));
}

TEST_CASE("An input is a file or JSON, with or without a name", "[client]") {
  const ScratchFolder folder;
  CHECK(ParseInputArgument("x=[1,2]")->name == "x");
  CHECK(ParseInputArgument("[1,2]")->name.empty());
  CHECK(ParseInputArgument("x=" + folder.Write("a.json", "[[1]]"))->shape == Shape{1, 1});
  CHECK(absl::IsInvalidArgument(ParseInputArgument("x=hello").status()));
  CHECK(absl::IsInvalidArgument(ParseInputArgument("x=" + folder.Path("none.npy")).status()));
  CHECK(absl::IsInvalidArgument(ParseInputArgument("x=" + folder.Path("none.json")).status()));
}

TEST_CASE("A reply to many rows is cut into theirs", "[client]") {
  PredictReply reply;
  reply.models.push_back({"m", "m", "1", absl::OkStatus(), {}, {}});
  reply.models[0].outputs.push_back(ArrayOf<int32_t>("y", DataType::kInt32, {2, 2}, {1, 2, 3, 4}));
  reply.models[0].outputs.push_back(
      {"s", DataType::kBytes, {2}, std::string("\1\0\0\0a\2\0\0\0bc", 11), false});
  const auto rows = SplitReply(reply, 2);
  REQUIRE(rows.ok());
  CHECK(ValuesOf<int32_t>((*rows)[1].models[0].outputs[0]) == std::vector<int32_t>{3, 4});
  CHECK((*rows)[1].models[0].outputs[1].bytes == std::string("\2\0\0\0bc", 6));
  CHECK(absl::IsInternal(SplitReply(reply, 3).status()));
  CHECK((*SplitReply(reply, 1))[0].models[0].outputs[0].shape == Shape{2, 2});
}

TEST_CASE("A reply whose bytes do not fit its shapes is refused", "[client]") {
  v1::PredictResponse response;
  v1::ModelResult* result = response.add_results();
  auto* output = result->add_outputs();
  output->set_name("y");
  output->set_datatype("FP32");
  output->add_shape(2);
  CHECK(absl::IsInternal(DecodePredictResponse(response).status()));
  response.add_raw_output_contents("1234567");
  CHECK(absl::IsInternal(DecodePredictResponse(response).status()));
  response.set_raw_output_contents(0, "12345678");
  CHECK(DecodePredictResponse(response).ok());
  output->set_datatype("FP33");
  CHECK(absl::IsInternal(DecodePredictResponse(response).status()));
}

}  // namespace
}  // namespace tandem::client
