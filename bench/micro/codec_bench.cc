// Requests out of the bytes that gRPC received, and replies into the bytes that it sends. The size
// is that of the one tensor.
#include <benchmark/benchmark.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/predict_decoder.h"
#include "server/predict_encoder.h"
#include "server/request_decoder.h"
#include "server/response_encoder.h"

namespace tandem::server {
namespace {

// As gRPC hands a large message over.
constexpr size_t kSliceBytes = 8192;
constexpr int64_t kSmall = 16;
constexpr int64_t kLarge = 600'000;

grpc::ByteBuffer InSlices(const std::string& bytes) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += kSliceBytes) {
    slices.emplace_back(bytes.data() + at, std::min(kSliceBytes, bytes.size() - at));
  }
  return {slices.data(), slices.size()};
}

template <typename Message>
void AddTensor(int64_t bytes, Message& message) {
  auto& input = *message.add_inputs();
  input.set_name("INPUT0");
  input.set_datatype("FP32");
  input.add_shape(1);
  input.add_shape(bytes / static_cast<int64_t>(sizeof(float)));
  message.add_raw_input_contents(std::string(static_cast<size_t>(bytes), '\0'));
}

// `bytes` lives as long as the answer.
InferResponse Answer(const std::string& bytes) {
  InferResponse response;
  response.model = "model";
  response.version = 1;
  const auto elements = static_cast<int64_t>(bytes.size() / sizeof(float));
  const Bytes piece(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
  response.outputs.push_back({"OUTPUT0", DataType::kFp32, {1, elements}, {piece}});
  response.placement.pool = "cpu";
  response.placement.device = "cpu";
  response.placement.worker = "cpu/0";
  response.keep_alive = std::make_shared<int>(0);
  return response;
}

void DecodeModelInfer(benchmark::State& state) {
  inference::ModelInferRequest message;
  message.set_model_name("model");
  AddTensor(state.range(0), message);
  const grpc::ByteBuffer buffer = InSlices(message.SerializeAsString());
  for (auto _ : state) benchmark::DoNotOptimize(DecodeInferRequest(buffer, TimePoint()).ok());
}
BENCHMARK(DecodeModelInfer)->Arg(kSmall)->Arg(kLarge);

void EncodeModelInfer(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), '\0');
  const InferResponse response = Answer(bytes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(EncodeInferResponse(response, "", false).Length());
  }
}
BENCHMARK(EncodeModelInfer)->Arg(kSmall)->Arg(kLarge);

// Models that share one small input.
void DecodePredict(benchmark::State& state) {
  v1::PredictRequest message;
  AddTensor(kSmall, message);
  for (int64_t i = 0; i < state.range(0); ++i) {
    message.add_models()->set_name(absl::StrCat("model", i));
  }
  const grpc::ByteBuffer buffer = InSlices(message.SerializeAsString());
  for (auto _ : state) benchmark::DoNotOptimize(DecodePredictRequest(buffer).ok());
}
BENCHMARK(DecodePredict)->Arg(2)->Arg(8);

void EncodePredict(benchmark::State& state) {
  const std::string bytes(kSmall, '\0');
  MergedPredict merged;
  for (int64_t i = 0; i < state.range(0); ++i) {
    merged.results.push_back({absl::StrCat("model", i), Answer(bytes)});
  }
  for (auto _ : state) benchmark::DoNotOptimize(EncodePredictResponse(merged).Length());
}
BENCHMARK(EncodePredict)->Arg(2)->Arg(8);

}  // namespace
}  // namespace tandem::server
