// Completions that are taken by the thread that brought the batch.
#include <thread>

#include "tests/pool/scripted_pool.h"
#include "tests/support/catch.h"

namespace tandem::testing {
namespace {

// Counts the answers that come on the thread that made it.
class CountedEvents final : public RecordedEvents {
 public:
  void OnBatchDone(LaneId lane, uint64_t batch_id, BatchResult result) override {
    if (std::this_thread::get_id() == own_) ++on_own_thread_;
    RecordedEvents::OnBatchDone(lane, batch_id, std::move(result));
  }
  int on_own_thread() const { return on_own_thread_; }

 private:
  const std::thread::id own_ = std::this_thread::get_id();
  // Of that thread.
  int on_own_thread_ = 0;
};

TEST_CASE("Whoever lingers after a run may take its completion, and none is lost", "[pool]") {
  constexpr int kBatches = 600;
  CountedEvents events;
  RecordedLog log;
  Pool pool(ScriptedOptions(), 0, events, log.sink());
  REQUIRE(pool.Start().ok());
  pool.Load(ScriptedModel(1));
  REQUIRE(events.Await(RecordedEvents::Kind::kModelReady, 1));
  for (int i = 1; i <= kBatches; ++i) {
    TestBatch batch(static_cast<uint64_t>(i), 1);
    batch.Add({static_cast<float>(i)});
    REQUIRE(pool.Run(0, batch.get()).ok());
    // Now and then not long enough.
    pool.Linger(0, i % 3 == 0 ? std::chrono::nanoseconds(0) : std::chrono::milliseconds(1));
    const BatchResult result = events.TakeResult(static_cast<uint64_t>(i));
    REQUIRE(result.status.ok());
    REQUIRE(Numbers(result.outputs.at(0)) == std::vector<float>{static_cast<float>(i)});
  }
  CHECK(events.on_own_thread() > 0);
  CHECK(events.AnswersOfBatches().size() == kBatches);
}

TEST_CASE("Nobody lingers for a worker that is not there", "[pool]") {
  CountedEvents events;
  RecordedLog log;
  Pool pool(ScriptedOptions(), 0, events, log.sink());
  REQUIRE(pool.Start().ok());
  pool.Stop(Duration{0});
  pool.Linger(0, std::chrono::hours(1));
}

}  // namespace
}  // namespace tandem::testing
