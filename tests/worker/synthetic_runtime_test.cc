#include "backends/worker/synthetic_runtime.h"

#include <chrono>
#include <cmath>
#include <cstring>

#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

using Parameters = std::map<std::string, std::string>;

// Outputs in plain memory.
class MemorySink : public OutputSink {
 public:
  absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> announced) override {
    outputs = std::move(announced);
    std::vector<std::byte*> places;
    for (const OutputTensor& output : outputs) {
      // One byte more, so that an output of none has a place too.
      bytes.emplace_back(output.bytes + 1, std::byte{0xaa});
      places.push_back(bytes.back().data());
    }
    return places;
  }

  std::vector<float> Floats(size_t output) const {
    std::vector<float> values(outputs[output].bytes / sizeof(float));
    if (!values.empty()) std::memcpy(values.data(), bytes[output].data(), outputs[output].bytes);
    return values;
  }

  std::vector<OutputTensor> outputs;
  std::vector<std::vector<std::byte>> bytes;
};

ModelSpec Spec(const Parameters& parameters, uint32_t max_batch_size = 8) {
  ModelSpec spec;
  spec.name = "synthetic";
  spec.max_batch_size = max_batch_size;
  spec.parameters = parameters;
  return spec;
}

std::unique_ptr<Executor> Load(const ModelSpec& spec) {
  auto executor = SyntheticRuntime().Load(spec);
  REQUIRE(executor.ok());
  return *std::move(executor);
}

InputTensor Input(std::vector<float>& values, Shape shape) {
  return {DataType::kFp32, std::move(shape), reinterpret_cast<std::byte*>(values.data()),
          values.size() * sizeof(float)};
}

TensorSpec Named(std::string name) {
  TensorSpec spec;
  spec.name = std::move(name);
  spec.type = DataType::kFp32;
  spec.dims = {2};
  return spec;
}

TEST_CASE("A synthetic model without a configuration has one input of any kind", "[synthetic]") {
  const auto executor = Load(Spec({}));
  const Signature& signature = executor->signature();
  REQUIRE(signature.inputs.size() == 1);
  CHECK(signature.inputs[0].name == "INPUT__0");
  CHECK(signature.inputs[0].type == DataType::kInvalid);
  CHECK(signature.inputs[0].any_shape);
  REQUIRE(signature.outputs.size() == 1);
  CHECK(signature.outputs[0].name == "OUTPUT__0");
}

TEST_CASE("A synthetic model keeps the configured signature", "[synthetic]") {
  ModelSpec spec = Spec({});
  spec.inputs = {Named("a"), Named("b")};
  SECTION("with outputs") {
    spec.outputs = {Named("c")};
    const auto executor = Load(spec);
    REQUIRE(executor->signature().outputs.size() == 1);
    CHECK(executor->signature().outputs[0].name == "c");
  }
  SECTION("without outputs: one for each input") {
    const auto executor = Load(spec);
    REQUIRE(executor->signature().outputs.size() == 2);
    CHECK(executor->signature().outputs[1].name == "OUTPUT__1");
    CHECK(executor->signature().outputs[1].dims == Shape{2});
  }
}

TEST_CASE("A synthetic model cannot have more outputs than inputs", "[synthetic]") {
  ModelSpec spec = Spec({});
  spec.inputs = {Named("a")};
  spec.outputs = {Named("b"), Named("c")};
  CHECK(absl::IsInvalidArgument(SyntheticRuntime().Load(spec).status()));
}

TEST_CASE("A synthetic model echoes every bit", "[synthetic]") {
  const auto executor = Load(Spec({}));
  std::vector<float> values = {1.5f, -0.0f, std::nanf("7"), 1e-45f};
  MemorySink sink;
  REQUIRE(executor->Run(0, {Input(values, {2, 2})}, sink).ok());
  REQUIRE(sink.outputs.size() == 1);
  CHECK(sink.outputs[0].type == DataType::kFp32);
  CHECK(sink.outputs[0].shape == Shape{2, 2});
  CHECK(std::memcmp(sink.bytes[0].data(), values.data(), 16) == 0);
  CHECK(sink.bytes[0][16] == std::byte{0xaa});
}

TEST_CASE("A synthetic model echoes a tensor of no elements", "[synthetic]") {
  const auto executor = Load(Spec({}));
  MemorySink sink;
  REQUIRE(executor->Run(0, {InputTensor{DataType::kFp32, {0, 3}, nullptr, 0}}, sink).ok());
  CHECK(sink.outputs[0].shape == Shape{0, 3});
  CHECK(sink.outputs[0].bytes == 0);
}

TEST_CASE("A synthetic model takes the time that it is told, by its rows", "[synthetic]") {
  std::vector<float> values(4);
  const auto run = [&values](const Parameters& parameters, uint32_t max_batch_size) {
    const auto executor = Load(Spec(parameters, max_batch_size));
    MemorySink sink;
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(executor->Run(0, {Input(values, {4, 1})}, sink).ok());
    return std::chrono::steady_clock::now() - start;
  };
  CHECK(run({{"alpha_us", "2000"}, {"beta_us", "500"}}, 8) >= std::chrono::milliseconds(4));
  CHECK(run({{"alpha_us", "50"}, {"beta_us", "10"}}, 8) >= std::chrono::microseconds(90));
  // Without a batch dimension it is one row.
  CHECK(run({{"beta_us", "1000"}}, 0) >= std::chrono::milliseconds(1));
}

TEST_CASE("A synthetic model refuses a number of inputs that is not its own", "[synthetic]") {
  const auto executor = Load(Spec({}));
  MemorySink sink;
  CHECK(absl::IsInvalidArgument(executor->Run(0, {}, sink)));
  CHECK(absl::IsInvalidArgument(executor->Run(0, {InputTensor{}}, sink)));
  CHECK(sink.outputs.empty());
}

TEST_CASE("A synthetic model needs the inputs that it echoes, and no others", "[synthetic]") {
  ModelSpec spec = Spec({});
  spec.inputs = {Named("a"), Named("b")};
  spec.inputs[0].optional = spec.inputs[1].optional = true;
  spec.outputs = {Named("c")};
  const auto executor = Load(spec);
  std::vector<float> values = {1, 2};
  MemorySink sink;
  CHECK(executor->Run(0, {Input(values, {1, 2}), InputTensor{}}, sink).ok());
  CHECK(sink.Floats(0) == values);
  CHECK(absl::IsInvalidArgument(executor->Run(0, {InputTensor{}, Input(values, {1, 2})}, sink)));
}

TEST_CASE("A synthetic model fails each n-th run", "[synthetic]") {
  const auto executor = Load(Spec({{"mode", "fail"}, {"fail_every", "3"}}));
  std::vector<float> values = {1};
  std::vector<bool> failed;
  for (int i = 0; i < 6; ++i) {
    MemorySink sink;
    const absl::Status status = executor->Run(0, {Input(values, {1, 1})}, sink);
    failed.push_back(absl::IsInternal(status));
  }
  CHECK(failed == std::vector<bool>{false, false, true, false, false, true});
}

TEST_CASE("A poisoned row anywhere in the batch triggers the failure", "[synthetic]") {
  const auto executor = Load(Spec({{"mode", "fail"}, {"trigger", "poison"}}));
  std::vector<float> values = {1, 2, 3, 222, 5, 6};
  MemorySink sink;
  // 222 starts the second row of three values, and no row of two.
  CHECK(absl::IsInternal(executor->Run(0, {Input(values, {2, 3})}, sink)));
  CHECK(executor->Run(0, {Input(values, {3, 2})}, sink).ok());

  std::vector<std::byte> bytes(4, std::byte{0});
  const auto run_bytes = [&] {
    return executor->Run(0, {InputTensor{DataType::kUint8, {4, 1}, bytes.data(), 4}}, sink);
  };
  CHECK(run_bytes().ok());
  bytes[2] = std::byte{0xde};
  CHECK(absl::IsInternal(run_bytes()));
}

TEST_CASE("A synthetic model gives NaN for every floating-point value", "[synthetic]") {
  const auto executor = Load(Spec({{"mode", "nan"}}));
  std::vector<float> values = {1, 2};
  MemorySink sink;
  REQUIRE(executor->Run(0, {Input(values, {2, 1})}, sink).ok());
  for (const float value : sink.Floats(0)) CHECK(std::isnan(value));
}

TEST_CASE("A synthetic model gives a row too many", "[synthetic]") {
  const auto executor = Load(Spec({{"mode", "bad_shape"}}));
  std::vector<float> values = {1, 2};
  MemorySink sink;
  REQUIRE(executor->Run(0, {Input(values, {2, 1})}, sink).ok());
  CHECK(sink.outputs[0].shape == Shape{3, 1});
  CHECK(sink.Floats(0) == std::vector<float>{1, 2, 0});
}

TEST_CASE("A synthetic model announces a type that does not exist", "[synthetic]") {
  const auto executor = Load(Spec({{"mode", "garbage"}}));
  std::vector<float> values = {1};
  MemorySink sink;
  REQUIRE(executor->Run(0, {Input(values, {1, 1})}, sink).ok());
  CHECK(DataTypeFromNumber(static_cast<uint32_t>(sink.outputs[0].type)) == DataType::kInvalid);
}

TEST_CASE("A synthetic model fails to load as it is told", "[synthetic]") {
  const absl::Status status = SyntheticRuntime().Load(Spec({{"load_mode", "fail"}})).status();
  CHECK(absl::IsInternal(status));
}

}  // namespace
}  // namespace tandem::worker
