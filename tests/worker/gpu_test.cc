// The CUDA worker's parts on a real GPU. Where none is visible the program says so and ends with
// 77, which CTest shows as skipped.
#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backends/worker/executor.h"
#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"
#include "tests/worker/torch_models.h"

namespace tandem {
namespace {

using worker::Executor;
using worker::HeldTensor;
using worker::ModelSpec;

constexpr int kSkipped = 77;
constexpr uint64_t kDeviceMemory = uint64_t{2} << 30;
constexpr size_t kArenaBytes = size_t{16} << 20;

// The GPU's runtimes, one set for all tests: LibTorch's settings hold for the process.
worker::Runtimes& Gpu() {
  static std::byte* const arena = static_cast<std::byte*>(
      mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  static absl::StatusOr<worker::Runtimes> runtimes = worker::MakeRuntimes(
      {.threads = 1, .device_memory_bytes = kDeviceMemory, .arenas = {{arena, kArenaBytes}}});
  if (absl::IsFailedPrecondition(runtimes.status())) {
    std::printf("skipped: %s\n", std::string(runtimes.status().message()).c_str());
    std::fflush(nullptr);
    std::_Exit(kSkipped);
  }
  REQUIRE(runtimes.ok());
  return *runtimes;
}

std::unique_ptr<Executor> Load(const std::string& methods, const ModelSpec& spec = {}) {
  auto executor = LoadMethods(*Gpu().by_platform.at("pytorch_libtorch"), methods, spec);
  INFO(executor.status());
  REQUIRE(executor.ok());
  return *std::move(executor);
}

// Rows of four numbers.
ModelSpec BatchSpec(const std::map<std::string, std::string>& parameters = {}) {
  ModelSpec spec;
  spec.max_batch_size = 8;
  spec.lanes = 2;
  spec.inputs = {{.name = "x", .type = DataType::kFp32, .dims = {4}}};
  spec.outputs = {{.name = "y", .type = DataType::kFp32, .dims = {4}}};
  spec.parameters = parameters;
  return spec;
}

std::vector<float> Ask(Executor& executor, const std::vector<float>& numbers, uint32_t lane = 0) {
  const auto rows = static_cast<int64_t>(numbers.size() / 4);
  const auto outputs = RunOnce(executor, {HeldTensor::Floats({rows, 4}, numbers)}, lane);
  INFO(outputs.status());
  REQUIRE(outputs.ok());
  REQUIRE(outputs->size() == 1);
  CHECK((*outputs)[0].type == DataType::kFp32);
  return (*outputs)[0].As<float>();
}

absl::Status AskForBytes(Executor& executor, int64_t bytes) {
  return RunOnce(executor, {HeldTensor::Of<int64_t>(DataType::kInt64, {1}, {bytes})}).status();
}

constexpr char kTwice[] = "def forward(self, x):\n    return x * 2\n";
// Its answer does not grow with what it takes.
constexpr char kTakes[] =
    "def forward(self, n: int):\n    return torch.zeros([n], dtype=0, device=\"cuda\").sum()\n";

}  // namespace

TEST_CASE("Two lanes of a GPU give the right answers at the same time", "[gpu]") {
  const auto executor = Load(kTwice, BatchSpec());
  std::vector<std::thread> lanes;
  std::atomic<int> wrong{0};
  for (uint32_t lane = 0; lane < 2; ++lane) {
    lanes.emplace_back([&, lane] {
      for (int i = 0; i < 500; ++i) {
        const auto number = static_cast<float>(1000 * lane + i);
        const auto outputs = RunOnce(
            *executor, {HeldTensor::Floats({1, 4}, {number, number, number, number})}, lane);
        if (!outputs.ok() || (*outputs)[0].As<float>()[3] != 2 * number) ++wrong;
      }
    });
  }
  for (std::thread& lane : lanes) lane.join();
  CHECK(wrong == 0);
}

TEST_CASE("A recorded run on a GPU gives what the model gives", "[gpu]") {
  const auto executor = Load("def forward(self, x):\n    return torch.softmax(x * 3 - 1, 1)\n",
                             BatchSpec({{"cuda_graphs", "1,4"}}));
  CHECK(executor->notes().empty());
  const auto plain =
      Load("def forward(self, x):\n    return torch.softmax(x * 3 - 1, 1)\n", BatchSpec());
  for (const size_t rows : {1, 2, 4}) {
    for (const uint32_t lane : {0U, 1U}) {
      std::vector<float> numbers;
      for (size_t i = 0; i < 4 * rows; ++i) numbers.push_back(0.1F * static_cast<float>(i + lane));
      CHECK(Ask(*executor, numbers, lane) == Ask(*plain, numbers, lane));
    }
  }
}

TEST_CASE("A model that waits for the GPU is not recorded, and does no harm to others", "[gpu]") {
  const auto waits = Load(
      "def forward(self, x):\n    if bool(x.sum() > 0):\n        return x + 1\n    return x - 1\n",
      BatchSpec({{"cuda_graphs", "1"}}));
  REQUIRE(waits->notes().size() == 1);
  CAPTURE(waits->notes()[0]);
  CHECK(waits->notes()[0].find("runs without CUDA graphs") != std::string::npos);
  CHECK(Ask(*waits, {1, 1, 1, 1}) == std::vector<float>{2, 2, 2, 2});
  CHECK(Ask(*waits, {-1, 0, 0, 0}) == std::vector<float>{-2, -1, -1, -1});
  // The generator of random numbers and the cache of memory are as they were.
  const auto random =
      Load("def forward(self, x):\n    return x + torch.rand_like(x)\n", BatchSpec());
  CHECK(Ask(*random, {0, 0, 0, 0}) != Ask(*random, {0, 0, 0, 0}));
  const auto recorded = Load(kTwice, BatchSpec({{"cuda_graphs", "1,8"}}));
  CHECK(recorded->notes().empty());
  CHECK(Ask(*recorded, {1, 2, 3, 4}) == std::vector<float>{2, 4, 6, 8});
  const auto takes = Load(kTakes);
  CHECK(absl::IsResourceExhausted(AskForBytes(*takes, int64_t{1} << 50)));
}

TEST_CASE("Autocast on a GPU computes in 16 bits and answers in the configured type", "[gpu]") {
  constexpr char kProduct[] =
      "def forward(self, x):\n    return torch.mm(x, torch.eye(4, device=x.device))\n";
  constexpr float kFine = 1.0F + 1.0F / 1024;
  const std::vector<float> row = {kFine, 1, 1, 1};
  CHECK(Ask(*Load(kProduct, BatchSpec({{"autocast", "bf16"}})), row)[0] == 1.0F);
  CHECK(Ask(*Load(kProduct, BatchSpec({{"autocast", "fp16"}})), row)[0] == kFine);
  CHECK(Ask(*Load(kProduct, BatchSpec({{"autocast", "bf16"}, {"cuda_graphs", "1"}})), row)[0] ==
        1.0F);
}

TEST_CASE("A GPU's memory is bounded as configured, and a batch that is too much does no harm",
          "[gpu]") {
  const auto executor = Load(kTakes);
  CHECK(AskForBytes(*executor, static_cast<int64_t>(kDeviceMemory / 4)).ok());
  for (const int64_t bytes :
       {static_cast<int64_t>(kDeviceMemory + kDeviceMemory / 4), int64_t{1} << 50}) {
    const absl::Status status = AskForBytes(*executor, bytes);
    CAPTURE(status);
    CHECK(absl::IsResourceExhausted(status));
  }
  CHECK(AskForBytes(*executor, static_cast<int64_t>(kDeviceMemory / 4)).ok());
}

TEST_CASE("A kernel that fails ends the worker, which is started again and answers", "[gpu]") {
  (void)Gpu();
  PoolOptions options = testing::ScriptedOptions("tandem-worker-cuda");
  options.device = "gpu:0";
  options.kind = PoolKind::kGpu;
  testing::ScriptedPool scripted(options);
  INFO(scripted.started << scripted.log.All());
  REQUIRE(scripted.started.ok());
  // Reads behind a tensor's end where the first number is positive: an assertion of the kernel.
  const ipc::UniqueFd file = worker::SaveModel(
      "def forward(self, x):\n"
      "    index = (x[:, :1] > 0).to(4) * 1000\n"
      "    return torch.gather(x, 1, index)\n");
  auto model = std::make_shared<ModelVersion>(*testing::ScriptedModel(3));
  model->config.platform = "pytorch_libtorch";
  model->config.parameters.clear();
  model->config.outputs[0].dims = {1};
  model->file = "/proc/self/fd/" + std::to_string(file.get());
  REQUIRE(scripted.LoadAndAwait(model));
  CHECK(scripted.RunAndAwait(1, 3, {-1, 5}).status.ok());
  CHECK_FALSE(scripted.RunAndAwait(2, 3, {1, 5}).status.ok());
  REQUIRE(scripted.events.Await(testing::RecordedEvents::Kind::kModelReady, 2, 3));
  CHECK(scripted.log.Holds("its device can run nothing more"));
  CHECK(scripted.RunAndAwait(3, 3, {-1, 5}).status.ok());
}

}  // namespace tandem
