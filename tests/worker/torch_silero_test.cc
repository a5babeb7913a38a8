// The pre-trained model that the demo serves. Hidden, since its file is fetched: give its path as
// TANDEM_SILERO_MODEL and run the program with [silero].
#include <fcntl.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/worker/torch_models.h"

namespace tandem::worker {
namespace {

std::unique_ptr<Executor> LoadSilero(Runtime& runtime, ModelSpec spec) {
  const char* path = std::getenv("TANDEM_SILERO_MODEL");
  REQUIRE(path != nullptr);
  const ipc::UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  REQUIRE(file.valid());
  spec.file = file.get();
  auto executor = runtime.Load(spec);
  INFO(executor.status());
  REQUIRE(executor.ok());
  return *std::move(executor);
}

HeldTensor Rate() { return HeldTensor::Of<int64_t>(DataType::kInt64, {1}, {16000}); }

// A buzz: loud, but no speech that lasts.
HeldTensor Sound(int64_t samples) {
  std::vector<float> wave(static_cast<size_t>(samples));
  for (size_t i = 0; i < wave.size(); ++i) wave[i] = i % 100 < 50 ? 0.5F : -0.5F;
  return HeldTensor::Floats({1, samples}, wave);
}

}  // namespace

TEST_CASE("silero-vad's audio_forward rates each window of a whole recording", "[.silero]") {
  const auto runtime = MakeCpuRuntime();
  ModelSpec spec;
  spec.method = "audio_forward";
  const auto executor = LoadSilero(*runtime, spec);
  const auto silence = HeldTensor::Floats({1, 16384}, std::vector<float>(16384));
  for (int i = 0; i < 2; ++i) {
    const auto outputs = RunOnce(*executor, {silence, Rate()});
    INFO(outputs.status());
    REQUIRE(outputs.ok());
    CHECK(outputs->front().shape == Shape{1, 32});
    for (const float probability : outputs->front().As<float>()) CHECK(probability < 0.2F);
  }
}

TEST_CASE("silero-vad's forward keeps its state in each lane", "[.silero]") {
  const auto runtime = MakeCpuRuntime();
  ModelSpec spec;
  spec.lanes = 2;
  const auto executor = LoadSilero(*runtime, spec);
  const auto rate = [&](uint32_t lane) {
    const auto outputs = RunOnce(*executor, {Sound(512), Rate()}, lane);
    INFO(outputs.status());
    REQUIRE(outputs.ok());
    return outputs->front().As<float>().front();
  };
  const float first = rate(0);
  const float second = rate(0);
  CHECK(first != second);
  CHECK(rate(1) == first);
  CHECK(rate(1) == second);
}

}  // namespace tandem::worker
