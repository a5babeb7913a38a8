#include "router/batch_queue.h"

#include "tests/router/waiting_line.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("A batch takes the oldest requests up to the largest batch", "[queue]") {
  WaitingLine line(BatchingModel());
  for (int i = 0; i < 10; ++i) line.Push();
  CHECK(line.Take() == Numbers{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(line.queue.rows() == 2);
  CHECK(line.Take() == Numbers{9, 10});
  CHECK(line.queue.empty());
  CHECK(line.Take().empty());
}

TEST_CASE("A request that does not fit any more ends the batch and is not overtaken", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push(5);
  line.Push(4);
  line.Push(1);
  CHECK(line.Take() == Numbers{1});
  CHECK(line.Take() == Numbers{2, 3});
}

TEST_CASE("Only requests of the oldest one's shape join it", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push(1, 4);
  line.Push(1, 7);
  line.Push(2, 4);
  line.Push(1, 7);
  CHECK(line.Take() == Numbers{1, 3});
  CHECK(line.Take() == Numbers{2, 4});
}

TEST_CASE("Requests of different types do not share a batch", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push();
  line.Push().inputs[0].type = DataType::kInt32;
  CHECK(line.Take() == Numbers{1});
  CHECK(line.Take() == Numbers{2});
}

TEST_CASE("Without dynamic batching each request runs alone", "[queue]") {
  ModelConfig config = BatchingModel();
  SECTION("the model batches, but not dynamically") { config.dynamic_batching = false; }
  SECTION("the model has no batch dimension") { config.max_batch_size = 0; }
  WaitingLine line(config);
  line.Push(3);
  line.Push(3);
  CHECK(line.Take() == Numbers{1});
  CHECK(line.Take() == Numbers{2});
}

TEST_CASE("A request that is to run alone shares with nobody", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push();
  line.Push().alone = true;
  line.Push();
  CHECK(line.Take() == Numbers{1, 3});
  line.Push();
  CHECK(line.Take() == Numbers{2});
}

TEST_CASE("A batch is held back for others until its delay has passed", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(2);
  WaitingLine line(config);
  line.Push();
  const auto early = line.queue.Peek(kStart + milliseconds(1), {});
  CHECK_FALSE(early.due);
  CHECK(early.due_at == kStart + milliseconds(2));
  CHECK(line.queue.Peek(kStart + milliseconds(2), {}).due);
}

TEST_CASE("A batch is held back for no longer than its deadlines allow", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(100);
  WaitingLine line(config);
  line.Push();
  line.Push().request->deadline = kStart + milliseconds(50);
  CostModel cost;
  for (int i = 0; i < 100; ++i) cost.Learn(1 + i % 2, milliseconds(10));
  BatchQueue::Limits limits;
  limits.cost = &cost;
  const auto held = line.queue.Peek(kStart, limits);
  CHECK_FALSE(held.due);
  // Early enough for the batch, and for a timer that is late.
  CHECK(held.due_at <= kStart + milliseconds(38));
  CHECK(held.due_at >= kStart + milliseconds(30));
  CHECK(line.queue.Peek(held.due_at, limits).due);
  CHECK(line.queue.Peek(held.due_at, limits).rows == 2);
  // Where nobody knows how long it takes.
  CHECK(line.queue.Peek(kStart, {}).due);
}

TEST_CASE("More urgent requests do not hold back the one that waits for longest", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(100);
  WaitingLine line(config);
  line.Push();
  QueuedRequest& urgent = line.Push(1, 4, kStart + milliseconds(60));
  urgent.request->deadline = kStart + milliseconds(70000);
  CostModel cost;
  for (int i = 0; i < 100; ++i) cost.Learn(1 + i % 2, milliseconds(10));
  BatchQueue::Limits limits;
  limits.cost = &cost;
  CHECK(line.queue.Peek(kStart + milliseconds(60), limits).due_at == kStart + milliseconds(100));
}

TEST_CASE("A batch is held back for no longer than its queue lets requests wait", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(100);
  config.queue_policy.default_timeout = milliseconds(40);
  WaitingLine line(config);
  auto request = Queued(kStart);
  line.queue.Classify(*request);
  line.queue.Push(std::move(request));
  CHECK(line.queue.Peek(kStart, {}).due_at == kStart + milliseconds(35));
}

TEST_CASE("Nothing is held back before a full batch", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(100);
  WaitingLine line(config);
  line.Push();
  CHECK_FALSE(line.queue.Peek(kStart, {}).due);
  SECTION("that it cannot join") { line.Push(8); }
  SECTION("of other shapes") { line.Push(8, 5); }
  CHECK(line.Take() == Numbers{1});
  CHECK(line.Take() == Numbers{2});
}

TEST_CASE("A full batch is not held back", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(2);
  WaitingLine line(config);
  for (int i = 0; i < 7; ++i) line.Push();
  CHECK_FALSE(line.queue.Peek(kStart, {}).due);
  line.Push();
  CHECK(line.queue.Peek(kStart, {}).due);
}

TEST_CASE("A batch of a preferred size goes at once, and not larger", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(2);
  config.preferred_batch_sizes = {2, 4};
  WaitingLine line(config);
  line.Push();
  CHECK_FALSE(line.queue.Peek(kStart, {}).due);
  for (int i = 0; i < 4; ++i) line.Push();
  CHECK(line.queue.Peek(kStart, {}).rows == 4);
  CHECK(line.Take() == Numbers{1, 2, 3, 4});
  // After the delay the rest goes, whatever its size.
  CHECK(line.Take(PoolKind::kCpu, 0, kStart + milliseconds(2)) == Numbers{5});
}

TEST_CASE("Expired and cancelled requests are taken out and never run", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push().request->deadline = kStart;
  line.Push();
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  line.Push().request->cancelled = cancelled;
  *cancelled = true;
  line.Push();
  CHECK(line.Take() == Numbers{2, 4});
  REQUIRE(line.dead.size() == 2);
  CHECK(line.dead[0]->sequence == 1);
  CHECK(line.dead[1]->sequence == 3);
  CHECK(line.queue.rows() == 0);
}

TEST_CASE("The dead can be taken out without a batch", "[queue]") {
  WaitingLine line(BatchingModel());
  for (const int after : {1, 9}) {
    auto request = Queued(kStart);
    request->request->deadline = kStart + milliseconds(after);
    line.queue.Push(std::move(request));
  }
  CHECK(line.queue.earliest_expiry() == kStart + milliseconds(1));
  line.queue.TakeDead(kStart + milliseconds(1), line.dead);
  CHECK(line.dead.size() == 1);
  CHECK(line.queue.earliest_expiry() == kStart + milliseconds(9));
  CHECK(line.queue.rows() == 1);
}

TEST_CASE("Requests that insist on the other kind of pool are passed over", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push().request->pool = PoolPreference::kGpu;
  line.Push();
  line.Push().request->pool = PoolPreference::kCpu;
  CHECK(line.Take(PoolKind::kCpu) == Numbers{2, 3});
  CHECK(line.Take(PoolKind::kCpu).empty());
  CHECK(line.Take(PoolKind::kGpu) == Numbers{1});
}

TEST_CASE("Rows at the head are left to others, but for requests that insist", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push(2);
  line.Push(1).request->pool = PoolPreference::kCpu;
  line.Push(2);
  line.Push(1);
  CHECK(line.Take(PoolKind::kCpu, 4) == Numbers{2, 4});
  CHECK(line.Take(PoolKind::kCpu, 4).empty());
  CHECK(line.Take({}) == Numbers{1, 3});
}

TEST_CASE("A request that is put back gets its old place", "[queue]") {
  WaitingLine line(BatchingModel());
  for (int i = 0; i < 4; ++i) line.Push();
  line.Take();
  for (auto& member : line.members) {
    if (member->sequence != 2) line.queue.Push(std::move(member));
  }
  line.queue.Push(std::move(line.members[1]));
  CHECK(line.Take() == Numbers{1, 2, 3, 4});
}

TEST_CASE("Requests that no pool may run any more can be taken out", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push();
  line.Push().request->pool = PoolPreference::kGpu;
  Requests taken;
  line.queue.TakeUnservable(true, false, taken);
  REQUIRE(taken.size() == 1);
  CHECK(taken[0]->sequence == 2);
  line.queue.TakeUnservable(false, false, taken);
  CHECK(taken.size() == 2);
  CHECK(line.queue.empty());
}

}  // namespace
}  // namespace tandem
