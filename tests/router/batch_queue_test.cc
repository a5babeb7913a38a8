#include "router/batch_queue.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

// A queue that numbers what is pushed.
class Line {
 public:
  explicit Line(const ModelConfig& config) : queue(config) {}

  QueuedRequest& Push(int64_t rows = 1, int64_t columns = 4, TimePoint arrival = kStart) {
    auto request = Queued(arrival, rows, columns);
    request->sequence = ++last_;
    QueuedRequest& pushed = *request;
    queue.Push(std::move(request));
    return pushed;
  }

  // Sequence numbers of the next batch for the CPU.
  std::vector<uint64_t> Take(PoolKind kind = PoolKind::kCpu, int64_t leave = 0,
                             TimePoint now = kStart) {
    std::vector<uint64_t> taken;
    BatchQueue::Limits limits;
    limits.kind = kind;
    limits.rows_to_leave = leave;
    members = queue.Take(now, limits, dead);
    for (const auto& member : members) taken.push_back(member->sequence);
    return taken;
  }

  BatchQueue queue;
  Requests members;
  Requests dead;

 private:
  uint64_t last_ = 0;
};

using Numbers = std::vector<uint64_t>;

TEST_CASE("A batch takes the oldest requests up to the largest batch", "[queue]") {
  Line line(BatchingModel());
  for (int i = 0; i < 10; ++i) line.Push();
  CHECK(line.Take() == Numbers{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(line.queue.rows() == 2);
  CHECK(line.Take() == Numbers{9, 10});
  CHECK(line.queue.empty());
  CHECK(line.Take().empty());
}

TEST_CASE("A request that does not fit any more ends the batch and is not overtaken", "[queue]") {
  Line line(BatchingModel());
  line.Push(5);
  line.Push(4);
  line.Push(1);
  CHECK(line.Take() == Numbers{1});
  CHECK(line.Take() == Numbers{2, 3});
}

TEST_CASE("Only requests of the oldest one's shape join it", "[queue]") {
  Line line(BatchingModel());
  line.Push(1, 4);
  line.Push(1, 7);
  line.Push(2, 4);
  line.Push(1, 7);
  CHECK(line.Take() == Numbers{1, 3});
  CHECK(line.Take() == Numbers{2, 4});
}

TEST_CASE("Requests of different types do not share a batch", "[queue]") {
  Line line(BatchingModel());
  line.Push();
  line.Push().inputs[0].type = DataType::kInt32;
  CHECK(line.Take() == Numbers{1});
  CHECK(line.Take() == Numbers{2});
}

TEST_CASE("Without dynamic batching each request runs alone", "[queue]") {
  ModelConfig config = BatchingModel();
  SECTION("the model batches, but not dynamically") { config.dynamic_batching = false; }
  SECTION("the model has no batch dimension") { config.max_batch_size = 0; }
  Line line(config);
  line.Push(3);
  line.Push(3);
  CHECK(line.Take() == Numbers{1});
  CHECK(line.Take() == Numbers{2});
}

TEST_CASE("A request that is to run alone shares with nobody", "[queue]") {
  Line line(BatchingModel());
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
  Line line(config);
  line.Push();
  const auto early = line.queue.Peek(kStart + milliseconds(1), {});
  CHECK_FALSE(early.due);
  CHECK(early.due_at == kStart + milliseconds(2));
  CHECK(line.queue.Peek(kStart + milliseconds(2), {}).due);
}

TEST_CASE("A batch is held back for no longer than its deadlines allow", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(100);
  Line line(config);
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

TEST_CASE("A full batch is not held back", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(2);
  Line line(config);
  for (int i = 0; i < 7; ++i) line.Push();
  CHECK_FALSE(line.queue.Peek(kStart, {}).due);
  line.Push();
  CHECK(line.queue.Peek(kStart, {}).due);
}

TEST_CASE("A batch of a preferred size goes at once, and not larger", "[queue]") {
  ModelConfig config = BatchingModel();
  config.max_queue_delay = milliseconds(2);
  config.preferred_batch_sizes = {2, 4};
  Line line(config);
  line.Push();
  CHECK_FALSE(line.queue.Peek(kStart, {}).due);
  for (int i = 0; i < 4; ++i) line.Push();
  CHECK(line.queue.Peek(kStart, {}).rows == 4);
  CHECK(line.Take() == Numbers{1, 2, 3, 4});
  // After the delay the rest goes, whatever its size.
  CHECK(line.Take(PoolKind::kCpu, 0, kStart + milliseconds(2)) == Numbers{5});
}

TEST_CASE("Expired and cancelled requests are taken out and never run", "[queue]") {
  Line line(BatchingModel());
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
  Line line(BatchingModel());
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
  Line line(BatchingModel());
  line.Push().request->pool = PoolPreference::kGpu;
  line.Push();
  line.Push().request->pool = PoolPreference::kCpu;
  CHECK(line.Take(PoolKind::kCpu) == Numbers{2, 3});
  CHECK(line.Take(PoolKind::kCpu).empty());
  CHECK(line.Take(PoolKind::kGpu) == Numbers{1});
}

TEST_CASE("Rows at the head are left to others, but for requests that insist", "[queue]") {
  Line line(BatchingModel());
  line.Push(2);
  line.Push(1).request->pool = PoolPreference::kCpu;
  line.Push(2);
  line.Push(1);
  CHECK(line.Take(PoolKind::kCpu, 4) == Numbers{2, 4});
  CHECK(line.Take(PoolKind::kCpu, 4).empty());
  CHECK(line.Take({}) == Numbers{1, 3});
}

TEST_CASE("A request that is put back gets its old place", "[queue]") {
  Line line(BatchingModel());
  for (int i = 0; i < 4; ++i) line.Push();
  line.Take();
  for (auto& member : line.members) {
    if (member->sequence != 2) line.queue.Push(std::move(member));
  }
  line.queue.Push(std::move(line.members[1]));
  CHECK(line.Take() == Numbers{1, 2, 3, 4});
}

TEST_CASE("Requests that no pool may run any more can be taken out", "[queue]") {
  Line line(BatchingModel());
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

TEST_CASE("The earliest deadline goes first, and what has none after a while", "[queue]") {
  Line line(BatchingModel());
  line.Push();
  const auto push = [&](Duration deadline, Duration after = Duration{0}) {
    auto request = Queued(kStart + after);
    request->request->deadline = kStart + deadline;
    request->sequence = static_cast<uint64_t>(deadline / milliseconds(1));
    line.queue.Push(std::move(request));
  };
  push(milliseconds(300));
  push(milliseconds(200));
  // Later than the request without a deadline is to wait for.
  push(milliseconds(1500), milliseconds(600));
  // Far away, and still in the order of their deadlines.
  push(milliseconds(9000));
  push(milliseconds(5000));
  CHECK(line.Take() == Numbers{200, 300, 1, 1500, 5000, 9000});
  // Beyond ten seconds, in the order of their arrival.
  push(milliseconds(60000));
  push(milliseconds(30000), milliseconds(1));
  CHECK(line.Take() == Numbers{60000, 30000});
}

// A queue of requests whose batches take 1 ms and another for each row.
class Deadlines {
 public:
  Deadlines() : queue_(BatchingModel()) {
    for (int i = 0; i < 200; ++i) cost_.Learn(1 + i % 8, milliseconds(2 + i % 8));
    limits.cost = &cost_;
    limits.running = true;
  }
  void Push(std::vector<int> deadlines_ms) {
    for (const int deadline : deadlines_ms) {
      auto request = Queued(kStart);
      request->request->deadline = kStart + milliseconds(deadline);
      request->sequence = ++last_;
      queue_.Push(std::move(request));
    }
  }
  Numbers Take() {
    Numbers taken;
    Requests dead;
    for (const auto& member : queue_.Take(kStart, limits, dead)) taken.push_back(member->sequence);
    CHECK(dead.empty());
    return taken;
  }
  size_t size() const { return queue_.size(); }

  BatchQueue::Limits limits;

 private:
  CostModel cost_;
  BatchQueue queue_;
  uint64_t last_ = 0;
};

TEST_CASE("A batch is so small that no member's deadline is lost", "[queue][deadline]") {
  Deadlines queue;
  // Two rows take 3 ms, three take 4 ms; the rest has time.
  queue.Push({4, 50, 50, 50});
  CHECK(queue.Take() == Numbers{1, 2});
  CHECK(queue.Take() == Numbers{3, 4});
}

TEST_CASE("A batch that starts later is smaller", "[queue][deadline]") {
  Deadlines queue;
  queue.Push({4, 50, 50, 50});
  queue.limits.starts_in = milliseconds(1);
  CHECK(queue.Take() == Numbers{1});
}

TEST_CASE("With more than can be done, the most urgent are given up for a larger batch",
          "[queue][deadline]") {
  Deadlines queue;
  // A batch of one for the first would make eight others late.
  queue.Push({3, 10, 10, 10, 10, 10, 10, 10, 10});
  CHECK(queue.Take() == Numbers{2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(queue.size() == 1);
}

TEST_CASE("What can only be late does not run, but where only it can tell", "[queue][deadline]") {
  Deadlines queue;
  queue.Push({1});
  CHECK(queue.Take().empty());
  queue.limits.running = false;
  CHECK(queue.Take() == Numbers{1});
}

TEST_CASE("Requests that the least time makes late are taken out", "[queue][deadline]") {
  Line line(BatchingModel());
  line.Push().request->deadline = kStart + milliseconds(5);
  line.queue.set_least_time(milliseconds(2));
  line.queue.TakeDead(kStart + milliseconds(2), line.dead);
  CHECK(line.dead.empty());
  CHECK(line.queue.earliest_expiry() == kStart + milliseconds(3));
  line.queue.TakeDead(kStart + milliseconds(3), line.dead);
  CHECK(line.dead.size() == 1);
}

// A queue with two priority levels; the second is the default.
ModelConfig Levels() {
  ModelConfig config = BatchingModel();
  config.priority_levels = 2;
  config.default_priority_level = 2;
  return config;
}

std::unique_ptr<QueuedRequest> OfLevel(const BatchQueue& queue, uint32_t level, uint64_t sequence) {
  auto request = Queued(kStart);
  request->request->priority = level;
  request->sequence = sequence;
  queue.Classify(*request);
  return request;
}

TEST_CASE("A lower level goes first, whatever the deadlines", "[queue][priority]") {
  Line line(Levels());
  // 0 and 9 are no levels: the default's.
  for (const uint32_t level : {2, 1, 0, 9, 1}) {
    static uint64_t sequence = 0;
    line.queue.Push(OfLevel(line.queue, level, ++sequence));
  }
  auto request = OfLevel(line.queue, 1, 6);
  CHECK(line.queue.RowsBefore(*request) == 2);
  CHECK(line.Take() == Numbers{2, 5, 1, 3, 4});
}

TEST_CASE("A level's queue is as long as its policy says", "[queue][priority]") {
  ModelConfig config = Levels();
  config.level_policies[1].max_queue_size = 1;
  Line line(config);
  line.queue.Push(OfLevel(line.queue, 1, 1));
  CHECK_FALSE(line.queue.HasRoom(*OfLevel(line.queue, 1, 2)));
  CHECK(line.queue.HasRoom(*OfLevel(line.queue, 2, 2)));
  line.Take();
  CHECK(line.queue.HasRoom(*OfLevel(line.queue, 1, 3)));
}

TEST_CASE("A request that has waited for too long is refused, or goes behind all others",
          "[queue][priority]") {
  ModelConfig config = Levels();
  config.queue_policy.default_timeout = milliseconds(5);
  SECTION("refused") {
    Line line(config);
    line.queue.Push(OfLevel(line.queue, 1, 1));
    CHECK(line.queue.earliest_expiry() == kStart + milliseconds(5));
    line.queue.TakeDead(kStart + milliseconds(5), line.dead);
    CHECK(line.dead.size() == 1);
    CHECK(line.queue.empty());
  }
  SECTION("delayed") {
    config.level_policies[1] = {milliseconds(5), true, 0};
    config.level_policies[2] = {};
    Line line(config);
    line.queue.Push(OfLevel(line.queue, 1, 1));
    line.queue.Push(OfLevel(line.queue, 2, 2));
    line.queue.TakeDead(kStart + milliseconds(5), line.dead);
    CHECK(line.dead.empty());
    CHECK(line.queue.earliest_expiry() == kNever);
    CHECK(line.Take() == Numbers{2, 1});
  }
}

TEST_CASE("Where answers keep the order, deadlines do not change it", "[queue]") {
  ModelConfig config = BatchingModel();
  config.preserve_ordering = true;
  Line line(config);
  line.Push();
  auto urgent = Queued(kStart);
  urgent->request->deadline = kStart + milliseconds(1);
  urgent->sequence = 2;
  line.queue.Push(std::move(urgent));
  CHECK(line.Take() == Numbers{1, 2});
}

}  // namespace
}  // namespace tandem
