#include <cmath>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/worker/torch_models.h"

namespace tandem::worker {
namespace {

// 1 + 2⁻¹⁰ is a float16, and no bfloat16; 1 + 2⁻²⁰ is neither.
constexpr float kFine = 1.0F + 1.0F / 1024;
constexpr float kFinest = 1.0F + 1.0F / 1048576;

constexpr char kProduct[] = "def forward(self, x):\n    return torch.mm(x, x)\n";

ModelSpec CastSpec(const std::string& autocast) {
  ModelSpec spec;
  spec.inputs = {{.name = "x", .type = DataType::kFp32, .dims = {1, 1}}};
  spec.outputs = {{.name = "y", .type = DataType::kFp32, .dims = {1, 1}}};
  if (!autocast.empty()) spec.parameters = {{"autocast", autocast}};
  return spec;
}

HeldTensor Ask(const std::string& methods, const ModelSpec& spec, float number) {
  const auto runtime = MakeCpuRuntime();
  const auto executor = LoadMethods(*runtime, methods, spec);
  INFO(executor.status());
  REQUIRE(executor.ok());
  const auto outputs = RunOnce(**executor, {HeldTensor::Floats({1, 1}, {number})});
  INFO(outputs.status());
  REQUIRE(outputs.ok());
  return (*outputs)[0];
}

}  // namespace

TEST_CASE("Autocast computes in 16 bits, and the answer has the type that is configured") {
  for (const auto& [autocast, number, product] :
       {std::tuple<std::string, float, float>{"", kFinest, kFinest * kFinest},
        {"off", kFinest, kFinest * kFinest},
        {"fp16", kFinest, 1.0F},
        {"bf16", kFine, 1.0F}}) {
    CAPTURE(autocast);
    const HeldTensor output = Ask(kProduct, CastSpec(autocast), number);
    CHECK(output.type == DataType::kFp32);
    CHECK(output.As<float>() == std::vector<float>{product});
  }
  CHECK(Ask(kProduct, CastSpec("fp16"), kFine).As<float>()[0] > 1.0F);
}

TEST_CASE("An output whose type is not configured is FP32, one that is may be BF16") {
  ModelSpec spec = CastSpec("bf16");
  spec.outputs.clear();
  CHECK(Ask(kProduct, spec, 3).type == DataType::kFp32);
  spec.outputs = {{.name = "y", .type = DataType::kBf16, .dims = {1, 1}}};
  const HeldTensor output = Ask(kProduct, spec, 3);
  CHECK(output.type == DataType::kBf16);
  CHECK(output.bytes.size() == 2);
}

TEST_CASE("What autocast does not touch comes out as it is") {
  ModelSpec spec = CastSpec("bf16");
  spec.outputs = {{.name = "y", .type = DataType::kInt64, .dims = {1, 1}}};
  const HeldTensor output =
      Ask("def forward(self, x):\n    return torch.mm(x, x).to(4)\n", spec, 3);
  CHECK(output.type == DataType::kInt64);
  CHECK(output.As<int64_t>() == std::vector<int64_t>{9});
}

TEST_CASE("One model's autocast is not another's") {
  const auto runtime = MakeCpuRuntime();
  const auto cast = LoadMethods(*runtime, kProduct, CastSpec("bf16"));
  const auto plain = LoadMethods(*runtime, kProduct, CastSpec(""));
  REQUIRE(cast.ok());
  REQUIRE(plain.ok());
  for (int round = 0; round < 2; ++round) {
    const std::vector<HeldTensor> input = {HeldTensor::Floats({1, 1}, {kFine})};
    CHECK(RunOnce(**cast, input)->at(0).As<float>()[0] == 1.0F);
    CHECK(RunOnce(**plain, input)->at(0).As<float>()[0] == kFine * kFine);
  }
}

TEST_CASE("A precision that does not exist is refused at the load") {
  const auto runtime = MakeCpuRuntime();
  const absl::Status status = LoadMethods(*runtime, kProduct, CastSpec("int4")).status();
  CHECK(absl::IsInvalidArgument(status));
  CHECK(std::string(status.message()).find("expected bf16, fp16 or off") != std::string::npos);
}

}  // namespace tandem::worker
