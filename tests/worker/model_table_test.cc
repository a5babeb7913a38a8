#include "backends/worker/model_table.h"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

// Tells when it is destroyed.
class Witness : public Executor {
 public:
  explicit Witness(std::atomic<bool>& destroyed) : destroyed_(destroyed) {}
  ~Witness() override { destroyed_ = true; }
  const Signature& signature() const override { return signature_; }
  absl::Status Run(uint32_t, absl::Span<const InputTensor>, OutputSink&) override {
    return absl::OkStatus();
  }

 private:
  Signature signature_;
  std::atomic<bool>& destroyed_;
};

TEST_CASE("ModelTable hands out what was added, by handle", "[models]") {
  ModelTable models;
  std::atomic<bool> destroyed{false};
  CHECK(models.Acquire(7).executor() == nullptr);
  REQUIRE(models.Add(7, std::make_unique<Witness>(destroyed)));
  CHECK(models.Contains(7));
  CHECK(models.Acquire(7).executor() != nullptr);
  CHECK(models.Acquire(8).executor() == nullptr);
}

TEST_CASE("ModelTable takes no second model for a handle", "[models]") {
  ModelTable models;
  std::atomic<bool> first{false};
  std::atomic<bool> second{false};
  REQUIRE(models.Add(7, std::make_unique<Witness>(first)));
  CHECK_FALSE(models.Add(7, std::make_unique<Witness>(second)));
  CHECK_FALSE(first);
  CHECK(second);
}

TEST_CASE("ModelTable removes a model once, and at once where nobody runs it", "[models]") {
  ModelTable models;
  std::atomic<bool> destroyed{false};
  REQUIRE(models.Add(7, std::make_unique<Witness>(destroyed)));
  CHECK(models.Remove(7));
  CHECK(destroyed);
  CHECK_FALSE(models.Remove(7));
  CHECK_FALSE(models.Contains(7));
}

TEST_CASE("ModelTable destroys a model after its last run, and gives it to nobody meanwhile",
          "[models]") {
  ModelTable models;
  std::atomic<bool> destroyed{false};
  REQUIRE(models.Add(7, std::make_unique<Witness>(destroyed)));
  std::thread remover;
  {
    const ModelTable::Use use = models.Acquire(7);
    REQUIRE(use.executor() != nullptr);
    remover = std::thread([&models] { models.Remove(7); });
    // The removal has begun when the model is given out no more.
    while (models.Acquire(7).executor() != nullptr) std::this_thread::yield();
    CHECK_FALSE(destroyed);
  }
  remover.join();
  CHECK(destroyed);
}

TEST_CASE("ModelTable serves many lanes while models come and go", "[models]") {
  ModelTable models;
  std::atomic<bool> ended{false};
  std::atomic<bool> destroyed{false};
  std::atomic<uint64_t> seen_destroyed{0};
  std::atomic<uint64_t> runs{0};
  std::vector<std::thread> lanes;
  for (int i = 0; i < 3; ++i) {
    lanes.emplace_back([&] {
      while (!ended) {
        const ModelTable::Use use = models.Acquire(1);
        if (use.executor() == nullptr) continue;
        ++runs;
        if (destroyed) ++seen_destroyed;
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    destroyed = false;
    REQUIRE(models.Add(1, std::make_unique<Witness>(destroyed)));
    const uint64_t before = runs;
    while (runs == before) std::this_thread::yield();
    REQUIRE(models.Remove(1));
  }
  ended = true;
  for (std::thread& lane : lanes) lane.join();
  CHECK(seen_destroyed == 0);
}

TEST_CASE("ModelTable expects of a run what the last one computed for each row", "[models]") {
  using std::chrono::microseconds;
  ModelTable models;
  std::atomic<bool> destroyed{false};
  REQUIRE(models.Add(7, std::make_unique<Witness>(destroyed)));
  CHECK(models.Acquire(7).Expect(8).count() == 0);
  models.Acquire(7).Note(4, microseconds(100));
  CHECK(models.Acquire(7).Expect(8) == microseconds(200));
  models.Acquire(7).Note(0, microseconds(30));
  CHECK(models.Acquire(7).Expect(1) == microseconds(30));
}

}  // namespace
}  // namespace tandem::worker
