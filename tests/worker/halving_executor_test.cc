#include "backends/worker/halving_executor.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

struct Run {
  uint32_t lane = 0;
  std::vector<Shape> shapes;
};

// Doubles its first input, on a device that holds `most_rows` rows. A row that holds -1 never fits.
class SmallDevice : public Executor {
 public:
  const Signature& signature() const override { return signature_; }
  std::vector<TimedRun> warm_up_runs() const override { return {{3, std::chrono::seconds(1)}}; }
  std::vector<std::string> notes() const override { return {"a note"}; }

  absl::Status Run(uint32_t lane, absl::Span<const InputTensor> inputs, OutputSink& sink) override {
    std::vector<Shape> shapes;
    for (const InputTensor& input : inputs) shapes.push_back(input.shape);
    runs.push_back({lane, shapes});
    const auto* numbers = reinterpret_cast<const float*>(inputs[0].data);
    const size_t count = inputs[0].bytes / sizeof(float);
    const bool hopeless = std::find(numbers, numbers + count, -1.0F) != numbers + count;
    const int64_t rows = inputs[0].shape.empty() ? 1 : inputs[0].shape[0];
    if (hopeless || (rows > most_rows && !fails_late)) {
      return absl::ResourceExhaustedError("out of memory");
    }
    Shape shape = inputs[0].shape;
    if (one_answer) shape = {1};
    const absl::StatusOr<std::vector<std::byte*>> places =
        sink.Allocate({{"y", DataType::kFp32, shape, (one_answer ? 1 : count) * sizeof(float)}});
    if (!places.ok()) return places.status();
    if (rows > most_rows) return absl::ResourceExhaustedError("out of memory");
    auto* doubled = reinterpret_cast<float*>((*places)[0]);
    for (size_t i = 0; i < (one_answer ? 1 : count); ++i) doubled[i] = 2 * numbers[i];
    return absl::OkStatus();
  }

  int64_t most_rows = 2;
  // Its output has one number, whatever the rows.
  bool one_answer = false;
  // It asks for its outputs' room before it runs out of memory.
  bool fails_late = false;
  std::vector<worker::Run> runs;

 private:
  const Signature signature_;
};

class Sink : public OutputSink {
 public:
  absl::StatusOr<std::vector<std::byte*>> Allocate(std::vector<OutputTensor> outputs) override {
    ++asked;
    if (full) return absl::ResourceExhaustedError("no room for outputs");
    announced = std::move(outputs);
    bytes.resize(announced[0].bytes);
    return std::vector<std::byte*>{bytes.data()};
  }
  std::vector<float> numbers() const {
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  void NoteParts() override { in_parts = true; }

  bool in_parts = false;
  bool full = false;
  int asked = 0;
  std::vector<OutputTensor> announced;
  std::vector<std::byte> bytes;
};

// A device behind a halving executor, and one run of `numbers` as rows of one number each.
struct Trial {
  Trial() {
    auto owned = std::make_unique<SmallDevice>();
    device = owned.get();
    executor = std::make_unique<HalvingExecutor>(std::move(owned));
  }
  absl::Status Ask(std::vector<float> numbers) {
    InputTensor input{DataType::kFp32,
                      {static_cast<int64_t>(numbers.size()), 1},
                      reinterpret_cast<std::byte*>(numbers.data()),
                      numbers.size() * sizeof(float)};
    return executor->Run(7, {input}, sink);
  }

  SmallDevice* device;
  std::unique_ptr<HalvingExecutor> executor;
  Sink sink;
};

std::vector<int64_t> RowsOfRuns(const SmallDevice& device) {
  std::vector<int64_t> rows;
  for (const Run& run : device.runs) rows.push_back(run.shapes[0][0]);
  return rows;
}

}  // namespace

TEST_CASE("A batch that the memory does not hold runs in halves, and its answer is whole") {
  Trial trial;
  REQUIRE(trial.Ask({1, 2, 3, 4, 5, 6, 7}).ok());
  CHECK(trial.sink.in_parts);
  CHECK(trial.sink.numbers() == std::vector<float>{2, 4, 6, 8, 10, 12, 14});
  REQUIRE(trial.sink.announced.size() == 1);
  CHECK(trial.sink.announced[0].name == "y");
  CHECK(trial.sink.announced[0].shape == Shape{7, 1});
  CHECK(trial.sink.asked == 1);
  CHECK(RowsOfRuns(*trial.device) == std::vector<int64_t>{7, 3, 1, 2, 4, 2, 2});
  for (const Run& run : trial.device->runs) CHECK(run.lane == 7);
}

TEST_CASE("A batch that the memory holds runs once, straight into its place") {
  Trial trial;
  REQUIRE(trial.Ask({1, 2}).ok());
  CHECK(trial.device->runs.size() == 1);
  CHECK(trial.sink.numbers() == std::vector<float>{2, 4});
}

TEST_CASE("A single row that is too much is RESOURCE_EXHAUSTED, and the next batch runs") {
  Trial trial;
  CHECK(absl::IsResourceExhausted(trial.Ask({1, 2, 3, -1})));
  CHECK(trial.sink.asked == 0);
  CHECK(absl::IsResourceExhausted(trial.Ask({-1})));
  CHECK(trial.Ask({1}).ok());
}

TEST_CASE("Where the outputs find no room, no half is tried") {
  Trial trial;
  trial.sink.full = true;
  CHECK(trial.Ask({1, 2}).message() == "no room for outputs");
  CHECK(trial.device->runs.size() == 1);
  trial.sink.full = false;
  trial.device->fails_late = true;
  CHECK(absl::IsResourceExhausted(trial.Ask({1, 2, 3})));
  CHECK(trial.device->runs.size() == 2);
}

TEST_CASE("Outputs that do not have the rows first are not put together") {
  Trial trial;
  trial.device->one_answer = true;
  CHECK(absl::IsResourceExhausted(trial.Ask({1, 2, 3})));
  CHECK(trial.sink.asked == 0);
}

TEST_CASE("Strings, scalars and tensors of other rows are not parted") {
  Trial trial;
  std::vector<float> numbers = {1, 2, 3, 4};
  auto* data = reinterpret_cast<std::byte*>(numbers.data());
  const InputTensor rows{DataType::kFp32, {4}, data, 16};
  for (const InputTensor& other :
       {InputTensor{DataType::kBytes, {4}, data, 16}, InputTensor{DataType::kFp32, {}, data, 4},
        InputTensor{DataType::kFp32, {2}, data, 8}}) {
    trial.device->runs.clear();
    CHECK(absl::IsResourceExhausted(trial.executor->Run(0, {rows, other}, trial.sink)));
    CHECK(trial.device->runs.size() == 1);
  }
}

TEST_CASE("An input that was left out is left out of every part") {
  Trial trial;
  std::vector<float> numbers = {1, 2, 3, 4};
  const InputTensor rows{DataType::kFp32, {4}, reinterpret_cast<std::byte*>(numbers.data()), 16};
  REQUIRE(trial.executor->Run(0, {rows, InputTensor{}}, trial.sink).ok());
  CHECK(trial.sink.numbers() == std::vector<float>{2, 4, 6, 8});
  CHECK(trial.device->runs.back().shapes[1].empty());
}

TEST_CASE("What the executor behind it tells is passed on") {
  const Trial trial;
  CHECK(trial.executor->warm_up_runs().size() == 1);
  CHECK(trial.executor->notes() == std::vector<std::string>{"a note"});
  CHECK(&trial.executor->signature() == &trial.device->signature());
}

}  // namespace tandem::worker
