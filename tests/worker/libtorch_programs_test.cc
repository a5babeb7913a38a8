// The programs on LibTorch as a server starts them: by a pool, with real models.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"
#include "tests/worker/torch_models.h"

namespace tandem {
namespace {

using Kind = testing::RecordedEvents::Kind;

// A file with a name, for as long as the test runs.
class NamedFile {
 public:
  explicit NamedFile(const std::string& bytes) {
    const int file = mkstemp(path_.data());
    REQUIRE(file >= 0);
    const ssize_t written = write(file, bytes.data(), bytes.size());
    close(file);
    REQUIRE(written == static_cast<ssize_t>(bytes.size()));
  }
  ~NamedFile() { std::remove(path_.c_str()); }
  NamedFile(const NamedFile&) = delete;
  NamedFile& operator=(const NamedFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/tandem-model-XXXXXX";
};

std::string ModelBytes(const std::string& methods) {
  const ipc::UniqueFd file = worker::SaveModel(methods);
  std::string bytes(1 << 20, '\0');
  const ssize_t size = pread(file.get(), bytes.data(), bytes.size(), 0);
  REQUIRE(size > 0);
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

std::shared_ptr<const ModelVersion> TorchModel(uint32_t handle, const std::string& path) {
  auto model = std::make_shared<ModelVersion>(*testing::ScriptedModel(handle));
  model->config.name = "scores";
  model->config.platform = "pytorch_libtorch";
  model->config.parameters.clear();
  model->file = path;
  return model;
}

int64_t ResidentKilobytes(int64_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atoll(line.c_str() + 6);
  }
  return 0;
}

}  // namespace

TEST_CASE("tandem-worker runs a TorchScript model on both of its lanes", "[process]") {
  PoolOptions options = testing::ScriptedOptions("tandem-worker");
  options.lanes = 2;
  testing::ScriptedPool scripted(options);
  INFO(scripted.started << scripted.log.All());
  REQUIRE(scripted.started.ok());
  const NamedFile file(ModelBytes("def forward(self, x):\n    return x * 2\n"));
  REQUIRE(scripted.LoadAndAwait(TorchModel(7, file.path())));
  for (uint32_t lane = 0; lane < 2; ++lane) {
    testing::TestBatch batch(lane + 1, 7);
    batch.Add({1, 2}).Add({3, 4});
    REQUIRE(scripted.pool.Run(lane, batch.get()).ok());
    const BatchResult result = scripted.events.TakeResult(lane + 1);
    INFO(result.status);
    REQUIRE(result.status.ok());
    REQUIRE(result.outputs.size() == 1);
    CHECK(result.outputs[0].shape == Shape{2, 2});
    CHECK(testing::Numbers(result.outputs[0]) == std::vector<float>{2, 4, 6, 8});
  }
}

TEST_CASE("tandem-worker tells why a model cannot be loaded, and serves on", "[process]") {
  testing::ScriptedPool scripted(testing::ScriptedOptions("tandem-worker"));
  REQUIRE(scripted.started.ok());
  const NamedFile broken("not a model");
  scripted.pool.Load(TorchModel(3, broken.path()));
  REQUIRE(scripted.events.Await(Kind::kModelFailed, 1, 3));
  const std::string reason(scripted.events.Last(Kind::kModelFailed).status.message());
  CAPTURE(reason);
  CHECK(reason.find("TorchScript") != std::string::npos);
  CHECK(reason.find("/tmp") == std::string::npos);
  const NamedFile good(ModelBytes("def forward(self, x):\n    return x\n"));
  REQUIRE(scripted.LoadAndAwait(TorchModel(4, good.path())));
  CHECK(scripted.RunAndAwait(1, 4, {1}).status.ok());
}

TEST_CASE("tandem-worker without models takes at most 150 MB", "[process]") {
  testing::ScriptedPool scripted(testing::ScriptedOptions("tandem-worker"));
  REQUIRE(scripted.started.ok());
  const int64_t resident = ResidentKilobytes(scripted.pool.Status().at(0).pid);
  CHECK(resident > 0);
  CHECK(resident <= 150 * 1000);
}

TEST_CASE("tandem-worker-cuda says that there is no GPU where none is visible", "[process]") {
  // A pool for the CPU hides all GPUs from its workers, so this holds on every machine.
  testing::ScriptedPool scripted(testing::ScriptedOptions("tandem-worker-cuda"));
  CAPTURE(scripted.started);
  CHECK_FALSE(scripted.started.ok());
  const std::string reason(scripted.started.message());
  CHECK(reason.find("no GPU is visible") != std::string::npos);
}

}  // namespace tandem
