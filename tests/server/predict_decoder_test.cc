#include "server/predict_decoder.h"

#include <string>

#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

using v1::PredictRequest;

absl::StatusOr<DecodedPredict> DecodePredict(const PredictRequest& request) {
  return DecodePredictRequest(MakeBuffer(request.SerializeAsString(), 16));
}

PredictRequest TwoModels() {
  PredictRequest request;
  *request.mutable_inputs() = RawRequest({1, 2}).inputs();
  *request.mutable_raw_input_contents() = RawRequest({1, 2}).raw_input_contents();
  request.add_gpu_models()->set_name("net");
  request.add_cpu_models()->set_name("forest");
  return request;
}

void CheckPredictRefused(const PredictRequest& request, const std::string& word) {
  const auto decoded = DecodePredict(request);
  REQUIRE_FALSE(decoded.ok());
  CHECK(absl::IsInvalidArgument(decoded.status()));
  CAPTURE(std::string(decoded.status().message()));
  CHECK(std::string(decoded.status().message()).find(word) != std::string::npos);
}

}  // namespace

TEST_CASE("Calls come in the order of the lists, each with its pool and key", "[predict_decoder]") {
  PredictRequest request = TwoModels();
  v1::ModelCall* any = request.add_models();
  any->set_name("net");
  any->set_key("again");
  any->set_version("2");
  const auto decoded = DecodePredict(request);
  REQUIRE(decoded.ok());
  REQUIRE(decoded->calls.size() == 3);
  CHECK(decoded->calls[0].key == "forest");
  CHECK(decoded->calls[0].pool == PoolPreference::kCpu);
  CHECK(decoded->calls[1].key == "net");
  CHECK(decoded->calls[1].pool == PoolPreference::kGpu);
  CHECK(decoded->calls[2].key == "again");
  CHECK(decoded->calls[2].pool == PoolPreference::kAny);
  CHECK(decoded->calls[2].version == 2);
  REQUIRE(decoded->shared_inputs.size() == 1);
  CHECK(decoded->shared_inputs[0].byte_size() == 8);
}

TEST_CASE("A call may bring inputs of its own", "[predict_decoder]") {
  PredictRequest request = TwoModels();
  v1::ModelCall* call = request.mutable_cpu_models(0);
  *call->mutable_inputs() = RawRequest({1, 2, 3}).inputs();
  *call->mutable_raw_input_contents() = RawRequest({1, 2, 3}).raw_input_contents();
  const auto decoded = DecodePredict(request);
  REQUIRE(decoded.ok());
  REQUIRE(decoded->calls[0].inputs.size() == 1);
  CHECK(decoded->calls[0].inputs[0].byte_size() == 12);
}

TEST_CASE("A Predict request that makes no sense is refused", "[predict_decoder]") {
  CheckPredictRefused(PredictRequest(), "names no model");

  PredictRequest twice = TwoModels();
  twice.add_models()->set_name("net");
  CheckPredictRefused(twice, "key 'net'");

  PredictRequest nameless = TwoModels();
  nameless.add_models();
  CheckPredictRefused(nameless, "names no model");

  PredictRequest many = TwoModels();
  for (int i = 0; i < 300; ++i) many.add_models()->set_name("m" + std::to_string(i));
  CheckPredictRefused(many, "at most");

  PredictRequest member = TwoModels();
  member.mutable_combine()->set_method(v1::Combine::METHOD_MEAN);
  member.mutable_combine()->add_members()->set_key("nobody");
  CheckPredictRefused(member, "\"nobody\"");

  PredictRequest again = TwoModels();
  again.mutable_combine()->set_method(v1::Combine::METHOD_MEAN);
  for (const char* output : {"y", "z", "y"}) {
    v1::Combine::Member& each = *again.mutable_combine()->add_members();
    each.set_key("net");
    each.set_output(output);
  }
  CheckPredictRefused(again, "\"net\" is twice among its members with the same output");

  PredictRequest crowd = TwoModels();
  crowd.mutable_combine()->set_method(v1::Combine::METHOD_MAJORITY_VOTE);
  for (int i = 0; i < 1025; ++i) crowd.mutable_combine()->add_members()->set_key("net");
  CheckPredictRefused(crowd, "1025 members; at most 1024");

  PredictRequest names = TwoModels();
  for (int i = 0; i < 1025; ++i) {
    (*names.mutable_cpu_models(0)->mutable_input_names())[std::to_string(i)] = "x";
  }
  CheckPredictRefused(names, "call 'forest': input_names has 1025 entries; at most 1024");

  PredictRequest both = TwoModels();
  both.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  CheckPredictRefused(both, "both");

  PredictRequest renamed = TwoModels();
  (*renamed.mutable_cpu_models(0)->mutable_output_names())["y"] = "";
  CheckPredictRefused(renamed,
                      "call 'forest': output_names: the name for the output \"y\" is empty");
}

TEST_CASE("A name that two tensors have is refused", "[predict_decoder]") {
  PredictRequest shared = TwoModels();
  *shared.add_inputs() = PredictRequest(shared).inputs(0);
  shared.add_raw_input_contents(shared.raw_input_contents(0));
  CheckPredictRefused(shared, "input \"x\": the request holds it twice");

  PredictRequest own = TwoModels();
  *own.mutable_gpu_models(0)->mutable_inputs() = shared.inputs();
  *own.mutable_gpu_models(0)->mutable_raw_input_contents() = shared.raw_input_contents();
  CheckPredictRefused(own, "call 'net': input \"x\": the request holds it twice");
}

}  // namespace tandem::server
