#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/worker/torch_models.h"
#include "tests/worker/torch_recording_device.h"

namespace tandem::worker {
namespace {

constexpr char kTwice[] = "def forward(self, x):\n    return x * 2, x.sum(1)\n";

// Rows of two numbers, batches of up to 8, and graphs of two sizes.
ModelSpec GraphSpec(const std::string& sizes = "1,4") {
  ModelSpec spec;
  spec.max_batch_size = 8;
  spec.inputs = {{.name = "x", .type = DataType::kFp32, .dims = {2}}};
  spec.parameters = {{"cuda_graphs", sizes}};
  return spec;
}

std::unique_ptr<Executor> Load(Runtime& runtime, const std::string& methods,
                               const ModelSpec& spec = GraphSpec()) {
  absl::StatusOr<std::unique_ptr<Executor>> executor = LoadMethods(runtime, methods, spec);
  INFO(executor.status());
  REQUIRE(executor.ok());
  return *std::move(executor);
}

std::vector<HeldTensor> Ask(Executor& executor, const std::vector<float>& numbers,
                            uint32_t lane = 0) {
  const auto rows = static_cast<int64_t>(numbers.size() / 2);
  absl::StatusOr<std::vector<HeldTensor>> outputs =
      RunOnce(executor, {HeldTensor::Floats({rows, 2}, numbers)}, lane);
  INFO(outputs.status());
  REQUIRE(outputs.ok());
  return *std::move(outputs);
}

// What the load says of a model for which no runs are recorded.
std::string NoteOf(const std::string& methods, const ModelSpec& spec = GraphSpec(),
                   const std::string& refusal = "") {
  RecordingDeviceLog log;
  log.refusal = refusal;
  const auto runtime = MakeRecordingRuntime(log);
  const auto executor = Load(*runtime, methods, spec);
  const int replays = log.replays;
  Ask(*executor, {1, 2});
  CHECK(log.replays == replays);
  REQUIRE(executor->notes().size() == 1);
  return executor->notes()[0];
}

bool Holds(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("A batch of a recorded size is replayed, each other one runs as it is") {
  RecordingDeviceLog log;
  const auto runtime = MakeRecordingRuntime(log);
  ModelSpec spec = GraphSpec();
  spec.lanes = 2;
  const auto executor = Load(*runtime, kTwice, spec);
  CHECK(executor->notes().empty());
  CHECK(log.recordings == 4);
  for (const uint32_t lane : {0U, 1U}) {
    const int before = log.replays;
    const auto one = Ask(*executor, {1, 2}, lane);
    CHECK(one[0].As<float>() == std::vector<float>{2, 4});
    CHECK(one[1].As<float>() == std::vector<float>{3});
    CHECK(log.replays == before + 1);
    const auto four = Ask(*executor, {1, 2, 3, 4, 5, 6, 7, 8}, lane);
    CHECK(four[0].shape == Shape{4, 2});
    CHECK(four[1].As<float>() == std::vector<float>{3, 7, 11, 15});
    CHECK(log.replays == before + 2);
    const auto three = Ask(*executor, {1, 2, 3, 4, 5, 6}, lane);
    CHECK(three[1].As<float>() == std::vector<float>{3, 7, 11});
    CHECK(log.replays == before + 2);
    const auto again = Ask(*executor, {-5, 1}, lane);
    CHECK(again[1].As<float>() == std::vector<float>{-4});
    CHECK(log.replays == before + 3);
  }
}

TEST_CASE("Inputs of another shape than was recorded run as they are") {
  RecordingDeviceLog log;
  const auto runtime = MakeRecordingRuntime(log);
  const auto executor = Load(*runtime, "def forward(self, x):\n    return x * 2\n", GraphSpec("2"));
  const int before = log.replays;
  const auto outputs = RunOnce(*executor, {HeldTensor::Floats({1, 4}, {1, 2, 3, 4})});
  REQUIRE(outputs.ok());
  CHECK((*outputs)[0].shape == Shape{1, 4});
  CHECK(log.replays == before);
}

TEST_CASE("What cannot be recorded runs as it is, and a note tells why") {
  CHECK(Holds(NoteOf(kTwice, GraphSpec(), "operation not permitted when stream is capturing"),
              "model \"m\" runs without CUDA graphs, as if none were configured: batch size 1: "
              "operation not permitted when stream is capturing"));
  CHECK(Holds(NoteOf("def forward(self, x):\n    return x + torch.rand_like(x)\n"),
              "answers depend on more than"));
  CHECK(Holds(NoteOf("def forward(self, x):\n    return x, x.size(0)\n"),
              "answers depend on more than"));
  ModelSpec open = GraphSpec();
  open.inputs[0].dims = {-1};
  CHECK(Holds(NoteOf(kTwice, open), "not all given"));
}

TEST_CASE("A model that keeps a state is not recorded") {
  RecordingDeviceLog log;
  const auto runtime = MakeRecordingRuntime(log);
  ModelSpec spec = GraphSpec();
  const ipc::UniqueFd file = SaveModel(
      "def forward(self, x):\n    self.seen += 1.0\n    return x + self.seen\n", {{"seen", {0}}});
  spec.name = "counts";
  spec.file = file.get();
  const auto executor = runtime->Load(spec);
  REQUIRE(executor.ok());
  CHECK(log.recordings == 0);
  REQUIRE((*executor)->notes().size() == 1);
  CHECK(Holds((*executor)->notes()[0], "keeps a state"));
  CHECK(Ask(**executor, {0, 0})[0].As<float>() == std::vector<float>{1, 1});
}

TEST_CASE("Weights are no state") {
  RecordingDeviceLog log;
  const auto runtime = MakeRecordingRuntime(log);
  ModelSpec spec = GraphSpec();
  const ipc::UniqueFd file =
      SaveModel("def forward(self, x):\n    return x * self.weight\n", {{"weight", {2, 3}}});
  spec.name = "scales";
  spec.file = file.get();
  const auto executor = runtime->Load(spec);
  REQUIRE(executor.ok());
  CHECK((*executor)->notes().empty());
  CHECK(log.recordings == 2);
  CHECK(Ask(**executor, {1, 1})[0].As<float>() == std::vector<float>{2, 3});
}

TEST_CASE("On a device that records nothing graphs are not asked for, and nothing is said") {
  const auto runtime = MakeCpuRuntime();
  const auto executor = Load(*runtime, kTwice);
  CHECK(executor->notes().empty());
  CHECK(Ask(*executor, {1, 2})[1].As<float>() == std::vector<float>{3});
}

TEST_CASE("When memory runs out, what is cached is given back and the batch is tried again") {
  RecordingDeviceLog log;
  const auto runtime = MakeRecordingRuntime(log);
  const auto executor =
      Load(*runtime, "def forward(self, n: int):\n    return torch.zeros([n], dtype=0)\n", {});
  const auto ask = [&](int64_t bytes) {
    return RunOnce(*executor, {HeldTensor::Of<int64_t>(DataType::kInt64, {1}, {bytes})}).status();
  };
  const int freed = log.freed;
  CHECK(absl::IsResourceExhausted(ask(int64_t{1} << 60)));
  CHECK(log.freed == freed + 1);
  CHECK(log.checked == 0);
  CHECK(ask(8).ok());
}

TEST_CASE("After a failure the device is looked at, and after an unload its memory is given back") {
  RecordingDeviceLog log;
  const auto runtime = MakeRecordingRuntime(log);
  auto executor = Load(*runtime, "def forward(self, x):\n    return torch.mm(x, x)\n", {});
  CHECK(log.checked == 0);
  CHECK(absl::IsInternal(RunOnce(*executor, {HeldTensor::Floats({1, 2}, {1, 2})}).status()));
  CHECK(log.checked == 1);
  const int freed = log.freed;
  executor.reset();
  CHECK(log.freed == freed + 1);
}

}  // namespace tandem::worker
