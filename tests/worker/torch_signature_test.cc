#include <limits>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/worker/torch_models.h"

namespace tandem::worker {
namespace {

TensorSpec Fp32(std::string name) {
  return {.name = std::move(name), .type = DataType::kFp32, .dims = {1}};
}

// x + 10 * y, so that the result tells which input went where.
constexpr char kTwoInputs[] = "def forward(self, x, y):\n    return x + 10 * y\n";

// The result with 1 as the first and 2 as the second configured input.
float ResultWith(std::vector<TensorSpec> inputs) {
  const auto runtime = MakeCpuRuntime();
  ModelSpec spec;
  spec.inputs = std::move(inputs);
  const auto executor = LoadMethods(*runtime, kTwoInputs, spec);
  INFO(executor.status());
  REQUIRE(executor.ok());
  const auto outputs =
      RunOnce(**executor, {HeldTensor::Floats({1}, {1}), HeldTensor::Floats({1}, {2})});
  REQUIRE(outputs.ok());
  return outputs->front().As<float>().front();
}

std::string LoadError(const std::string& methods, std::vector<TensorSpec> inputs) {
  const auto runtime = MakeCpuRuntime();
  ModelSpec spec;
  spec.inputs = std::move(inputs);
  const absl::Status status = LoadMethods(*runtime, methods, spec).status();
  CHECK(absl::IsInvalidArgument(status));
  return std::string(status.message());
}

}  // namespace

TEST_CASE("Inputs go by the arguments' names, by index, or in order") {
  CHECK(ResultWith({Fp32("x"), Fp32("y")}) == 21);
  CHECK(ResultWith({Fp32("y"), Fp32("x")}) == 12);
  CHECK(ResultWith({Fp32("INPUT__1"), Fp32("INPUT__0")}) == 12);
  CHECK(ResultWith({Fp32("left"), Fp32("right")}) == 21);
  CHECK(ResultWith({Fp32("x"), Fp32("something")}) == 21);
}

TEST_CASE("A configuration that does not fit the method is refused with the reason") {
  CHECK(LoadError(kTwoInputs, {Fp32("x")}) ==
        "no input is configured for the argument y; the method takes (x: Tensor, y: Tensor)");
  CHECK(LoadError(kTwoInputs, {Fp32("a"), Fp32("b"), Fp32("c")}) ==
        "the configured input \"c\" is argument 2, but the method takes (x: Tensor, y: Tensor)");
  CHECK(LoadError(kTwoInputs, {Fp32("z"), Fp32("x")}) ==
        "the configured input \"x\" has the name of argument 0 and the place of argument 1, since "
        "not all inputs are named as arguments; the method takes (x: Tensor, y: Tensor)");
  CHECK(LoadError(kTwoInputs, {Fp32("a__1"), Fp32("b__1")}).find("both") != std::string::npos);
  CHECK(LoadError("def forward(self, x):\n    return x\n",
                  {{.name = "x", .type = DataType::kBytes, .dims = {1}}}) ==
        "the input \"x\" is configured as BYTES, but the argument x has the type Tensor");
  CHECK(LoadError("def forward(self, x: str):\n    return x\n", {Fp32("x")}) ==
        "the input \"x\" is configured as FP32, but the argument x has the type str");
}

TEST_CASE("Without a configuration the schema is the signature") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = LoadMethods(*runtime,
                                    "def forward(self, x, n: int, words: List[str], y: "
                                    "Optional[Tensor] = None, f: float = 0.5):\n"
                                    "    return x, n\n");
  INFO(executor.status());
  REQUIRE(executor.ok());
  const Signature& signature = (*executor)->signature();
  REQUIRE(signature.inputs.size() == 5);
  CHECK(signature.inputs[0].name == "INPUT__0");
  CHECK(signature.inputs[0].type == DataType::kInvalid);
  CHECK(signature.inputs[0].any_shape);
  CHECK_FALSE(signature.inputs[0].optional);
  CHECK(signature.inputs[1].type == DataType::kInt64);
  CHECK(signature.inputs[1].dims == Shape{1});
  CHECK(signature.inputs[2].type == DataType::kBytes);
  CHECK(signature.inputs[2].dims == Shape{-1});
  CHECK(signature.inputs[3].optional);
  CHECK(signature.inputs[4].type == DataType::kFp64);
  CHECK(signature.inputs[4].optional);
  REQUIRE(signature.outputs.size() == 2);
  CHECK(signature.outputs[0].name == "OUTPUT__0");
  CHECK(signature.outputs[1].type == DataType::kInt64);
}

TEST_CASE("Scalars are taken from one-element tensors of any numeric type") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = LoadMethods(
      *runtime, "def forward(self, n: int, f: float, b: bool, s: str):\n    return n, f, b, s\n");
  REQUIRE(executor.ok());
  const auto with = [&](HeldTensor n) {
    return RunOnce(**executor, {std::move(n), HeldTensor::Floats({}, {0.5}),
                                HeldTensor::Of<uint8_t>(DataType::kBool, {1}, {1}),
                                HeldTensor::Strings({"hi"})});
  };
  const auto outputs = with(HeldTensor::Of<int32_t>(DataType::kInt32, {1}, {16000}));
  INFO(outputs.status());
  REQUIRE(outputs.ok());
  CHECK((*outputs)[0].As<int64_t>() == std::vector<int64_t>{16000});
  CHECK((*outputs)[1].As<double>() == std::vector<double>{0.5});
  CHECK((*outputs)[2].As<uint8_t>() == std::vector<uint8_t>{1});
  CHECK((*outputs)[3].AsStrings() == std::vector<std::string>{"hi"});
  CHECK(with(HeldTensor::Floats({1}, {3}))->front().As<int64_t>().front() == 3);
  CHECK(
      with(HeldTensor::Of<uint64_t>(DataType::kUint64, {1}, {5}))->front().As<int64_t>().front() ==
      5);
  // The rows of a batch, all of one mind.
  CHECK(with(HeldTensor::Floats({2, 1}, {3, 3}))->front().As<int64_t>().front() == 3);
}

TEST_CASE("A value that cannot be the scalar is the client's error and names the input") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = LoadMethods(*runtime, "def forward(self, n: int):\n    return n\n");
  REQUIRE(executor.ok());
  const auto error = [&](HeldTensor input) {
    const absl::Status status = RunOnce(**executor, {std::move(input)}).status();
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  CHECK(error(HeldTensor::Floats({1}, {0.5})) == "input \"INPUT__0\" must hold integers");
  CHECK(error(HeldTensor::Floats({1}, {std::numeric_limits<float>::quiet_NaN()})) ==
        "input \"INPUT__0\" must hold integers");
  CHECK(error(HeldTensor::Floats({1}, {1e30F})) == "input \"INPUT__0\" must hold integers");
  CHECK(error(HeldTensor::Of<uint64_t>(DataType::kUint64, {1}, {~uint64_t{0}})) ==
        "input \"INPUT__0\" holds a number above the largest int64");
  CHECK(error(HeldTensor::Floats({0}, {})).find("is empty") != std::string::npos);
  CHECK(error(HeldTensor::Floats({2}, {1, 2})).find("must all be equal") != std::string::npos);
  CHECK(error(HeldTensor::Strings({"1"})).find("must be numbers") != std::string::npos);
  CHECK(error(HeldTensor::LeftOut()).find("is missing") != std::string::npos);
}

TEST_CASE("Lists are taken from one-dimensional tensors") {
  const auto runtime = MakeCpuRuntime();
  const auto executor =
      LoadMethods(*runtime,
                  "def forward(self, w: List[str], n: List[int], f: List[float]):\n"
                  "    return \"-\".join(w), n[0] + n[1], f[0] + f[1]\n");
  INFO(executor.status());
  REQUIRE(executor.ok());
  const auto outputs = RunOnce(**executor, {HeldTensor::Strings({"a", "", "c"}),
                                            HeldTensor::Of<int16_t>(DataType::kInt16, {2}, {3, 4}),
                                            HeldTensor::Floats({2}, {0.5, 1})});
  INFO(outputs.status());
  REQUIRE(outputs.ok());
  CHECK((*outputs)[0].AsStrings() == std::vector<std::string>{"a--c"});
  CHECK((*outputs)[1].As<int64_t>().front() == 7);
  CHECK((*outputs)[2].As<double>().front() == 1.5);
}

TEST_CASE("An input that is left out gets the method's default") {
  const auto runtime = MakeCpuRuntime();
  const auto executor =
      LoadMethods(*runtime,
                  "def forward(self, x, y: Optional[Tensor] = None, n: int = 7):\n"
                  "    if y is not None:\n        x = x + y\n    return x * n\n");
  REQUIRE(executor.ok());
  const HeldTensor one = HeldTensor::Floats({1}, {1});
  const auto value = [&](std::vector<HeldTensor> inputs) {
    return RunOnce(**executor, std::move(inputs))->front().As<float>().front();
  };
  CHECK(value({one, HeldTensor::LeftOut(), HeldTensor::LeftOut()}) == 7);
  CHECK(value({one, one, HeldTensor::LeftOut()}) == 14);
  CHECK(value({one, one, HeldTensor::Of<int64_t>(DataType::kInt64, {1}, {2})}) == 4);
}

TEST_CASE("A method that takes a collection gets all inputs") {
  const auto runtime = MakeCpuRuntime();
  ModelSpec spec;
  spec.inputs = {Fp32("a"), Fp32("b")};
  const std::vector<HeldTensor> inputs = {HeldTensor::Floats({1}, {1}),
                                          HeldTensor::Floats({1}, {2})};
  SECTION("a list, in order") {
    const auto executor = LoadMethods(
        *runtime, "def forward(self, x: List[Tensor]):\n    return x[0] + 10 * x[1]\n", spec);
    REQUIRE(executor.ok());
    CHECK(RunOnce(**executor, inputs)->front().As<float>().front() == 21);
  }
  SECTION("a dict, by name") {
    const auto executor = LoadMethods(
        *runtime, "def forward(self, x: Dict[str, Tensor]):\n    return x[\"b\"] + 10 * x[\"a\"]\n",
        spec);
    REQUIRE(executor.ok());
    CHECK(RunOnce(**executor, inputs)->front().As<float>().front() == 12);
  }
  SECTION("which needs a configuration") {
    CHECK(LoadError("def forward(self, x: List[Tensor]):\n    return x[0]\n", {})
              .find("config.pbtxt") != std::string::npos);
  }
}

}  // namespace tandem::worker
