#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.h"
#include "tests/worker/torch_models.h"

namespace tandem::worker {
namespace {

constexpr char kEcho[] = "def forward(self, x):\n    return x\n";

std::unique_ptr<Executor> Require(absl::StatusOr<std::unique_ptr<Executor>> executor) {
  INFO(executor.status());
  REQUIRE(executor.ok());
  return *std::move(executor);
}

std::vector<HeldTensor> Require(absl::StatusOr<std::vector<HeldTensor>> outputs) {
  INFO(outputs.status());
  REQUIRE(outputs.ok());
  return *std::move(outputs);
}

}  // namespace

TEST_CASE("A tensor goes through a model in place and comes back with its shape") {
  const auto runtime = MakeCpuRuntime();
  const auto executor =
      Require(LoadMethods(*runtime, "def forward(self, x):\n    return (x * 2).transpose(0, 1)\n"));
  const auto outputs =
      Require(RunOnce(*executor, {HeldTensor::Floats({2, 3}, {1, 2, 3, 4, 5, 6})}));
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].name == "OUTPUT__0");
  CHECK(outputs[0].type == DataType::kFp32);
  CHECK(outputs[0].shape == Shape{3, 2});
  CHECK(outputs[0].As<float>() == std::vector<float>{2, 8, 4, 10, 6, 12});
}

TEST_CASE("Every numeric type comes back bit by bit") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = Require(LoadMethods(*runtime, kEcho));
  for (int number = 1; number < kDataTypeCount; ++number) {
    const auto type = static_cast<DataType>(number);
    if (type == DataType::kBytes) continue;
    CAPTURE(std::string(DataTypeName(type)));
    std::vector<unsigned char> bytes(3 * ElementSize(type));
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = type == DataType::kBool ? i % 2 : static_cast<unsigned char>(0xFF - 7 * i);
    }
    const HeldTensor input = HeldTensor::Of(type, {3, 1}, bytes);
    const auto outputs = Require(RunOnce(*executor, {input}));
    REQUIRE(outputs.size() == 1);
    CHECK(outputs[0].type == type);
    CHECK(outputs[0].shape == input.shape);
    CHECK(outputs[0].bytes == input.bytes);
  }
}

TEST_CASE("Tensors without elements and without dimensions pass") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = Require(LoadMethods(*runtime, kEcho));
  const auto empty = Require(RunOnce(*executor, {HeldTensor::Floats({0, 4}, {})}));
  CHECK(empty[0].shape == Shape{0, 4});
  CHECK(empty[0].bytes.empty());
  const auto scalar = Require(RunOnce(*executor, {HeldTensor::Floats({}, {7})}));
  CHECK(scalar[0].shape == Shape{});
  CHECK(scalar[0].As<float>() == std::vector<float>{7});
}

TEST_CASE("Tuples and lists are flattened and go by order or by the index in their names") {
  const auto runtime = MakeCpuRuntime();
  const std::string methods = "def forward(self, x):\n    return x, (x + 1, [x + 2, x + 3])\n";
  const std::vector<HeldTensor> input = {HeldTensor::Floats({1}, {0})};
  SECTION("without a configuration") {
    const auto outputs = Require(RunOnce(*Require(LoadMethods(*runtime, methods)), input));
    REQUIRE(outputs.size() == 4);
    for (size_t i = 0; i < outputs.size(); ++i) {
      CHECK(outputs[i].name == "OUTPUT__" + std::to_string(i));
      CHECK(outputs[i].As<float>()[0] == static_cast<float>(i));
    }
  }
  SECTION("by index") {
    ModelSpec spec;
    spec.outputs = {{.name = "last__3", .type = DataType::kFp32, .dims = {1}},
                    {.name = "second__1", .type = DataType::kFp32, .dims = {1}}};
    const auto outputs = Require(RunOnce(*Require(LoadMethods(*runtime, methods, spec)), input));
    REQUIRE(outputs.size() == 2);
    CHECK(outputs[0].name == "last__3");
    CHECK(outputs[0].As<float>()[0] == 3);
    CHECK(outputs[1].As<float>()[0] == 1);
  }
  SECTION("by order, with fewer names than values") {
    ModelSpec spec;
    spec.outputs = {{.name = "a", .type = DataType::kFp32, .dims = {1}},
                    {.name = "b", .type = DataType::kFp32, .dims = {1}}};
    const auto outputs = Require(RunOnce(*Require(LoadMethods(*runtime, methods, spec)), input));
    REQUIRE(outputs.size() == 2);
    CHECK(outputs[1].name == "b");
    CHECK(outputs[1].As<float>()[0] == 1);
  }
}

TEST_CASE("A dict's values go by their keys") {
  const auto runtime = MakeCpuRuntime();
  const std::string methods =
      "def forward(self, x):\n    return {\"scores\": x, \"boxes\": x + 1}\n";
  ModelSpec spec;
  SECTION("without a configuration") {
    const auto outputs =
        Require(RunOnce(*Require(LoadMethods(*runtime, methods)), {HeldTensor::Floats({1}, {0})}));
    REQUIRE(outputs.size() == 2);
    CHECK(outputs[0].name == "scores");
    CHECK(outputs[1].name == "boxes");
  }
  SECTION("with a configuration in another order") {
    spec.outputs = {{.name = "boxes", .type = DataType::kFp32, .dims = {1}},
                    {.name = "scores", .type = DataType::kFp32, .dims = {1}}};
    const auto outputs = Require(
        RunOnce(*Require(LoadMethods(*runtime, methods, spec)), {HeldTensor::Floats({1}, {0})}));
    REQUIRE(outputs.size() == 2);
    CHECK(outputs[0].name == "boxes");
    CHECK(outputs[0].As<float>()[0] == 1);
  }
  SECTION("a configured output that the dict lacks is the model's failure") {
    spec.outputs = {{.name = "masks", .type = DataType::kFp32, .dims = {1}}};
    const auto outputs =
        RunOnce(*Require(LoadMethods(*runtime, methods, spec)), {HeldTensor::Floats({1}, {0})});
    CHECK(absl::IsInternal(outputs.status()));
    CHECK(outputs.status().message().find("\"masks\"") != absl::string_view::npos);
  }
}

TEST_CASE("Numbers, strings and lists of them become tensors") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = Require(LoadMethods(
      *runtime,
      "def forward(self, x):\n    return 3, 0.5, True, \"word\", [1, 2], [0.5], [True, False], "
      "[\"a\", \"bc\"]\n"));
  const auto outputs = Require(RunOnce(*executor, {HeldTensor::Floats({1}, {0})}));
  REQUIRE(outputs.size() == 8);
  CHECK(outputs[0].As<int64_t>() == std::vector<int64_t>{3});
  CHECK(outputs[1].As<double>() == std::vector<double>{0.5});
  CHECK(outputs[2].type == DataType::kBool);
  CHECK(outputs[2].shape == Shape{1});
  CHECK(outputs[3].AsStrings() == std::vector<std::string>{"word"});
  CHECK(outputs[4].As<int64_t>() == std::vector<int64_t>{1, 2});
  CHECK(outputs[5].As<double>() == std::vector<double>{0.5});
  CHECK(outputs[6].As<char>() == std::vector<char>{1, 0});
  CHECK(outputs[7].AsStrings() == std::vector<std::string>{"a", "bc"});
  CHECK(executor->signature().outputs.size() == 8);
  CHECK(executor->signature().outputs[7].type == DataType::kBytes);
}

TEST_CASE("Lanes that run at the same time keep a state each") {
  const auto runtime = MakeCpuRuntime();
  const ipc::UniqueFd file = SaveModel(
      "def forward(self, x):\n    self.count.add_(x)\n    return self.count\n", {{"count", {0}}});
  ModelSpec spec;
  spec.file = file.get();
  spec.lanes = 2;
  // A known shape, so that the model is also warmed up: that must leave no trace.
  spec.inputs = {{.name = "x", .type = DataType::kFp32, .dims = {1}}};
  const auto executor = Require(runtime->Load(spec));
  std::vector<float> last(2);
  std::vector<std::thread> lanes;
  for (uint32_t lane = 0; lane < 2; ++lane) {
    lanes.emplace_back([&, lane] {
      for (int i = 0; i < 100; ++i) {
        const auto outputs =
            RunOnce(*executor, {HeldTensor::Floats({1}, {lane == 0 ? 1.0F : 10.0F})}, lane);
        if (outputs.ok()) last[lane] = outputs->front().As<float>().front();
      }
    });
  }
  for (std::thread& lane : lanes) lane.join();
  CHECK(last == std::vector<float>{100, 1000});
}

TEST_CASE("A method other than forward is called, and one that is not there is named") {
  const auto runtime = MakeCpuRuntime();
  const std::string methods =
      "def forward(self, x):\n    return x\n\ndef score(self, x):\n    return x + 5\n";
  ModelSpec spec;
  spec.method = "score";
  const auto executor = Require(LoadMethods(*runtime, methods, spec));
  CHECK(Require(RunOnce(*executor, {HeldTensor::Floats({1}, {1})}))[0].As<float>()[0] == 6);
  spec.method = "embed";
  const auto missing = LoadMethods(*runtime, methods, spec).status();
  CHECK(absl::IsInvalidArgument(missing));
  CHECK(std::string(missing.message()) ==
        "the model has no method \"embed\"; it has: forward, score");
}

TEST_CASE("A file that is no model is refused with a sentence") {
  const auto runtime = MakeCpuRuntime();
  const std::string bytes = GENERATE(as<std::string>{}, "", "not a model", std::string(5000, 'x'));
  const ipc::UniqueFd file = SaveBytes(bytes);
  ModelSpec spec;
  spec.file = file.get();
  const absl::Status status = runtime->Load(spec).status();
  CAPTURE(status);
  CHECK(absl::IsInvalidArgument(status));
  const std::string message(status.message());
  CHECK(message.find("cannot be read as TorchScript") != std::string::npos);
  CHECK(message.find('/') == std::string::npos);
  CHECK(message.size() < 400);
}

TEST_CASE("A model file that is cut off anywhere is refused") {
  const auto runtime = MakeCpuRuntime();
  const ipc::UniqueFd whole = SaveModel(kEcho);
  std::string bytes(1 << 20, '\0');
  const ssize_t size = pread(whole.get(), bytes.data(), bytes.size(), 0);
  REQUIRE(size > 100);
  for (ssize_t length = size - 1; length > 0; length -= size / 9) {
    const ipc::UniqueFd file = SaveBytes(bytes.substr(0, static_cast<size_t>(length)));
    ModelSpec spec;
    spec.file = file.get();
    CAPTURE(length);
    CHECK(absl::IsInvalidArgument(runtime->Load(spec).status()));
  }
}

TEST_CASE("A failure inside the model is told without its source, paths or addresses") {
  const auto runtime = MakeCpuRuntime();
  SECTION("shapes that do not fit") {
    const auto executor =
        Require(LoadMethods(*runtime, "def forward(self, x, y):\n    return torch.mm(x, y)\n"));
    const absl::Status status = RunOnce(*executor, {HeldTensor::Floats({1, 3}, {1, 2, 3}),
                                                    HeldTensor::Floats({2, 1}, {1, 2})})
                                    .status();
    CHECK(absl::IsInternal(status));
    CHECK(std::string(status.message()) ==
          "mat1 and mat2 shapes cannot be multiplied (1x3 and 2x1)");
  }
  SECTION("an exception that the model raises") {
    const auto executor =
        Require(LoadMethods(*runtime,
                            "def forward(self, x):\n    assert bool(x.sum() <= 1.0), \"too loud\"\n"
                            "    return x\n"));
    const absl::Status status = RunOnce(*executor, {HeldTensor::Floats({1}, {2})}).status();
    CHECK(absl::IsInternal(status));
    CHECK(std::string(status.message()) == "AssertionError: too loud");
    CHECK(RunOnce(*executor, {HeldTensor::Floats({1}, {0})}).ok());
  }
}

TEST_CASE("A model that wants more memory than there is gets RESOURCE_EXHAUSTED and runs on") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = Require(
      LoadMethods(*runtime, "def forward(self, n: int):\n    return torch.zeros([n], dtype=0)\n"));
  const auto ask = [&](int64_t bytes) {
    return RunOnce(*executor, {HeldTensor::Of<int64_t>(DataType::kInt64, {1}, {bytes})});
  };
  const absl::Status status = ask(int64_t{1} << 60).status();
  CAPTURE(status);
  CHECK(absl::IsResourceExhausted(status));
  CHECK(ask(8).ok());
}

TEST_CASE("A warm-up with zeros that the model refuses does not fail the load") {
  const auto runtime = MakeCpuRuntime();
  ModelSpec spec;
  spec.max_batch_size = 4;
  spec.inputs = {{.name = "x", .type = DataType::kFp32, .dims = {2}}};
  const auto executor =
      Require(LoadMethods(*runtime,
                          "def forward(self, x):\n    assert bool(x.sum() >= 1.0), \"too quiet\"\n"
                          "    return x\n",
                          spec));
  CHECK(RunOnce(*executor, {HeldTensor::Floats({1, 2}, {1, 1})}).ok());
}

TEST_CASE("A model that cannot run what the configuration says is refused at its load") {
  const auto runtime = MakeCpuRuntime();
  const auto refusal = [&](const std::string& methods, const ModelSpec& spec) {
    const absl::Status status = LoadMethods(*runtime, methods, spec).status();
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  ModelSpec spec;
  spec.inputs = {{.name = "x", .type = DataType::kFp32, .dims = {2, 3}}};
  SECTION("a shape") {
    CHECK(refusal("def forward(self, x):\n    return torch.mm(x, x)\n", spec) ==
          "the model fails on inputs of the configured types and shapes: mat1 and mat2 shapes "
          "cannot be multiplied (2x3 and 2x3)");
  }
  SECTION("an output's type") {
    spec.outputs = {{.name = "y", .type = DataType::kInt64, .dims = {2, 3}}};
    CHECK(refusal("def forward(self, x):\n    return x\n", spec) ==
          "the output \"y\" is configured as INT64, but the model gives FP32");
  }
  SECTION("an output's shape") {
    spec.max_batch_size = 4;
    spec.outputs = {{.name = "y", .type = DataType::kFp32, .dims = {3, -1}}};
    CHECK(refusal("def forward(self, x):\n    return x\n", spec) ==
          "the output \"y\" is configured with the shape [1,3,-1], but the model gives [1,2,3]");
  }
  SECTION("an output that the model does not give") {
    spec.outputs = {{.name = "masks", .type = DataType::kFp32, .dims = {2, 3}}};
    CHECK(refusal("def forward(self, x):\n    return {\"scores\": x}\n", spec).find("masks") !=
          std::string::npos);
  }
}

TEST_CASE("A model that fails on zeros alone is loaded") {
  const auto runtime = MakeCpuRuntime();
  ModelSpec spec;
  spec.inputs = {{.name = "x", .type = DataType::kFp32, .dims = {2, 2}}};
  Require(LoadMethods(*runtime, "def forward(self, x):\n    return torch.inverse(x)\n", spec));
}

TEST_CASE("A lane that the model was not loaded for is refused") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = Require(LoadMethods(*runtime, kEcho));
  CHECK(absl::IsInternal(RunOnce(*executor, {HeldTensor::Floats({1}, {1})}, 1).status()));
}

}  // namespace tandem::worker
