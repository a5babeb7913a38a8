#include "router/batch_queue.h"
#include "tests/router/waiting_line.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("The earliest deadline goes first, and what has none after a while", "[queue]") {
  WaitingLine line(BatchingModel());
  line.Push();
  const auto push = [&](Duration deadline, Duration after = Duration{0}, Duration time = {}) {
    auto request = Queued(kStart + after);
    request->request->deadline = kStart + deadline;
    request->sequence = static_cast<uint64_t>(deadline / milliseconds(1));
    line.queue.Classify(*request, time);
    line.queue.Push(std::move(request));
  };
  push(milliseconds(300));
  push(milliseconds(200));
  // It takes long, and must begin early.
  push(milliseconds(310), Duration{0}, milliseconds(50));
  // Later than the request without a deadline is to wait for.
  push(milliseconds(2500), milliseconds(600));
  // As far away as none.
  push(milliseconds(9000));
  push(milliseconds(5000));
  CHECK(line.Take() == Numbers{200, 310, 300, 1, 5000, 9000, 2500});
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
      queue_.Classify(*request);
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
  WaitingLine line(BatchingModel());
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
  WaitingLine line(Levels());
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
  WaitingLine line(config);
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
    WaitingLine line(config);
    line.queue.Push(OfLevel(line.queue, 1, 1));
    CHECK(line.queue.earliest_expiry() == kStart + milliseconds(5));
    line.queue.TakeDead(kStart + milliseconds(5), line.dead);
    CHECK(line.dead.size() == 1);
    CHECK(line.queue.empty());
  }
  SECTION("delayed") {
    config.level_policies[1] = {milliseconds(5), true, 0};
    config.level_policies[2] = {};
    WaitingLine line(config);
    line.queue.Push(OfLevel(line.queue, 1, 1));
    line.queue.Push(OfLevel(line.queue, 2, 2));
    line.queue.TakeDead(kStart + milliseconds(5), line.dead);
    CHECK(line.dead.empty());
    CHECK(line.queue.earliest_expiry() == kNever);
    CHECK(line.Take() == Numbers{2, 1});
  }
}

TEST_CASE("Rows that would be late are found, with those before them", "[queue][deadline]") {
  WaitingLine line(BatchingModel());
  const auto push = [&](Duration deadline) {
    auto request = Queued(kStart);
    request->request->deadline = kStart + deadline;
    line.queue.Classify(*request);
    line.queue.Push(std::move(request));
  };
  for (const int deadline : {2, 4, 4, 4, 4, 9}) push(milliseconds(deadline));
  line.Push();
  // A row each millisecond.
  const auto done_by = [&](TimePoint then) {
    return then == kNever ? 1000 : (then - kStart) / milliseconds(1);
  };
  const BatchQueue::LateRows late = line.queue.FindLate(kStart, done_by);
  CHECK(late.before == 4);
  CHECK(late.rows == 1);
  // Those that are dead do not count.
  CHECK(line.queue.FindLate(kStart + milliseconds(2), done_by).rows == 0);
}

TEST_CASE("Where answers keep the order nobody is passed over", "[queue]") {
  ModelConfig config = BatchingModel();
  config.preserve_ordering = true;
  WaitingLine line(config);
  SECTION("because of its shape") {
    line.Push(1, 4);
    line.Push(1, 7);
    line.Push(1, 4);
    CHECK(line.Take() == Numbers{1});
    CHECK(line.Take() == Numbers{2});
    CHECK(line.Take() == Numbers{3});
  }
  SECTION("because it is to run elsewhere") {
    line.Push().request->pool = PoolPreference::kGpu;
    line.Push();
    CHECK(line.Take(PoolKind::kCpu).empty());
    CHECK(line.Take(PoolKind::kGpu) == Numbers{1, 2});
  }
  SECTION("because it is left to another pool") {
    line.Push();
    line.Push();
    CHECK(line.Take(PoolKind::kCpu, 1).empty());
  }
  SECTION("because it would be late") {
    CostModel cost;
    for (int i = 0; i < 200; ++i) cost.Learn(1 + i % 8, milliseconds(2 + i % 8));
    for (const int deadline : {1, 50, 50}) {
      line.Push().request->deadline = kStart + milliseconds(deadline);
    }
    BatchQueue::Limits limits;
    limits.cost = &cost;
    limits.running = true;
    CHECK(line.queue.Take(kStart, limits, line.dead).size() == 3);
  }
}

TEST_CASE("Where answers keep the order, deadlines do not change it", "[queue]") {
  ModelConfig config = BatchingModel();
  config.preserve_ordering = true;
  WaitingLine line(config);
  line.Push();
  auto urgent = Queued(kStart);
  urgent->request->deadline = kStart + milliseconds(1);
  urgent->sequence = 2;
  line.queue.Push(std::move(urgent));
  CHECK(line.Take() == Numbers{1, 2});
}

}  // namespace
}  // namespace tandem
