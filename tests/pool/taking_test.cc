// Completions that are taken by other threads than the pool's own.
#include <csignal>
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

Batch Short(const TestBatch& batch) {
  Batch given = batch.get();
  given.is_short = true;
  return given;
}

TEST_CASE(
    "A thread that is awake takes short batches' completions, and none is lost once it sleeps",
    "[pool]") {
  constexpr int kBatches = 600;
  CountedEvents events;
  RecordedLog log;
  Pool pool(ScriptedOptions(), 0, events, log.sink());
  REQUIRE(pool.Start().ok());
  pool.Load(ScriptedModel(1));
  pool.Load(ScriptedModel(2, "toil"));
  REQUIRE(events.Await(RecordedEvents::Kind::kModelReady, 2));
  CHECK(pool.TakeEnded() == Ended::kNothing);
  for (int i = 1; i <= kBatches; ++i) {
    TestBatch batch(static_cast<uint64_t>(i), 1);
    batch.Add({static_cast<float>(i)});
    REQUIRE(pool.Run(0, Short(batch)).ok());
    // Now and then it goes to sleep before there is something.
    while (pool.TakeEnded() == Ended::kSoon && i % 3 != 0) std::this_thread::yield();
    if (i % 3 == 0) pool.StopTaking();
    const BatchResult result = events.TakeResult(static_cast<uint64_t>(i));
    REQUIRE(result.status.ok());
    REQUIRE(Numbers(result.outputs.at(0)) == std::vector<float>{static_cast<float>(i)});
  }
  // So long that it looks before there is something.
  TestBatch batch(kBatches + 1, 2);
  batch.Add({1});
  REQUIRE(pool.Run(0, Short(batch)).ok());
  while (pool.TakeEnded() == Ended::kSoon) std::this_thread::yield();
  CHECK(events.on_own_thread() > 0);
  CHECK(events.AnswersOfBatches().size() == kBatches + 1);
}

TEST_CASE("Completions of long batches and of large ones are left to the pool's own thread",
          "[pool]") {
  CountedEvents events;
  RecordedLog log;
  Pool pool(ScriptedOptions(), 0, events, log.sink());
  REQUIRE(pool.Start().ok());
  pool.Load(ScriptedModel(1));
  REQUIRE(events.Await(RecordedEvents::Kind::kModelReady, 1));
  TestBatch batch(1, 1);
  SECTION("Long") {
    batch.Add({1});
    REQUIRE(pool.Run(0, batch.get()).ok());
  }
  SECTION("Large") {
    batch.Add(std::vector<float>(size_t{32} << 10));
    REQUIRE(pool.Run(0, Short(batch)).ok());
  }
  CHECK(pool.TakeEnded() == Ended::kNothing);
  CHECK(events.TakeResult(1).status.ok());
  CHECK(events.on_own_thread() == 0);
}

TEST_CASE("A worker that dies while its completions are looked for answers its batches at once",
          "[pool]") {
  CountedEvents events;
  RecordedLog log;
  Pool pool(ScriptedOptions(), 0, events, log.sink());
  REQUIRE(pool.Start().ok());
  pool.Load(ScriptedModel(1, "hang"));
  REQUIRE(events.Await(RecordedEvents::Kind::kModelReady, 1));
  TestBatch batch(1, 1);
  batch.Add({1});
  REQUIRE(pool.Run(0, Short(batch)).ok());
  REQUIRE(pool.TakeEnded() == Ended::kSoon);
  kill(static_cast<pid_t>(pool.Status().at(0).pid), SIGKILL);
  CHECK(events.TakeResult(1).status.code() == absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tandem::testing
