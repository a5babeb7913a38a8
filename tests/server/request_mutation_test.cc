// Requests with bytes flipped, cut out and put in, as a hostile client would send them.
#include <rapidcheck.h>

#include <random>
#include <string>

#include "core/shape.h"
#include "server/predict_decoder.h"
#include "server/request_decoder.h"
#include "tandem.pb.h"
#include "tests/server/buffers.h"
#include "tests/support/catch.h"

namespace tandem::server {
namespace {

constexpr int kRounds = 20000;

std::string Mutate(std::string text, std::mt19937& random) {
  const int changes = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < changes && !text.empty(); ++i) {
    const size_t at = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, 1 + random() % 8);
        break;
      case 2:
        text.insert(at, 1 + random() % 8, static_cast<char>(random()));
        break;
      default:
        text.resize(at);
        break;
    }
  }
  return text;
}

// What holds of every tensor that a decoder lets through.
void CheckTensors(const std::vector<Tensor>& tensors, size_t message_size) {
  size_t bytes = 0;
  for (const Tensor& tensor : tensors) {
    REQUIRE(tensor.type != DataType::kInvalid);
    REQUIRE(ElementCount(tensor.shape).ok());
    std::string copy(tensor.byte_size(), '\0');
    CopyBytes(tensor, reinterpret_cast<std::byte*>(copy.data()));
    bytes += copy.size();
  }
  // Typed values take up to eight bytes for each byte of the wire; nothing takes more.
  REQUIRE(bytes <= 8 * message_size);
}

inference::ModelInferRequest SomeTypedRequest() {
  inference::ModelInferRequest request = RawRequest({});
  request.clear_raw_input_contents();
  request.mutable_inputs(0)->set_shape(1, 3);
  for (const float value : {1.0F, 2.0F, 3.0F}) {
    request.mutable_inputs(0)->mutable_contents()->add_fp32_contents(value);
  }
  (*request.mutable_parameters())["timeout"].set_int64_param(1000);
  return request;
}

}  // namespace

TEST_CASE("Mutated ModelInfer requests are refused or read, and never do harm", "[mutation]") {
  const std::string seeds[] = {RawRequest({1, 2, 3}).SerializeAsString(),
                               SomeTypedRequest().SerializeAsString()};
  std::mt19937 random(20240611);
  int read = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = Mutate(seeds[static_cast<size_t>(round) % 2], random);
    const auto decoded = DecodeInferRequest(MakeBuffer(text, 1 + random() % 32), TimePoint{});
    if (!decoded.ok()) {
      REQUIRE(absl::IsInvalidArgument(decoded.status()));
      continue;
    }
    ++read;
    CheckTensors(decoded->request->inputs, text.size());
  }
  // Most mutations break the message, some only change it: both paths were taken.
  CHECK(read > 0);
  CHECK(read < kRounds);
}

TEST_CASE("Mutated Predict requests are refused or read, and never do harm", "[mutation]") {
  v1::PredictRequest request;
  *request.mutable_inputs() = SomeTypedRequest().inputs();
  request.add_cpu_models()->set_name("a");
  v1::ModelCall* own = request.add_gpu_models();
  own->set_name("b");
  *own->mutable_inputs() = RawRequest({1, 2}).inputs();
  own->add_raw_input_contents("12345678");
  request.mutable_combine()->set_method(v1::Combine::METHOD_MEAN);
  const std::string seed = request.SerializeAsString();
  std::mt19937 random(7);
  int read = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = Mutate(seed, random);
    const auto decoded = DecodePredictRequest(MakeBuffer(text, 1 + random() % 32));
    if (!decoded.ok()) {
      REQUIRE(absl::IsInvalidArgument(decoded.status()));
      continue;
    }
    ++read;
    CheckTensors(decoded->shared_inputs, text.size());
    for (const DecodedCall& call : decoded->calls) CheckTensors(call.inputs, text.size());
  }
  CHECK(read > 0);
  CHECK(read < kRounds);
}

}  // namespace tandem::server
