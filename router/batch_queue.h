// The requests of one model version that wait, most urgent first, and the forming of batches out of
// them. A state machine without clock or threads: time comes with each call. Not thread-safe.
//
// Priority levels go one after the other; within one the earliest deadline goes first, less the
// time that the request takes. A request without a deadline, or with one that is further away,
// waits behind younger ones for at most kPatience.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/clock.h"
#include "core/model_config.h"
#include "router/cost_model.h"
#include "router/queue_shares.h"
#include "router/queued_request.h"

namespace tandem {

using Requests = std::vector<std::unique_ptr<QueuedRequest>>;

class BatchQueue {
 public:
  explicit BatchQueue(const ModelConfig& config);

  size_t size() const { return requests_.size(); }
  bool empty() const { return requests_.empty(); }

  static constexpr Duration kPatience = std::chrono::seconds(2);

  // Gives a new request its level, its limits and its place in the order. `time`: what it is
  // predicted to take by itself.
  void Classify(QueuedRequest& request, Duration time = Duration{0}) const;
  // The limit of its level allows for one more. For one that is classified.
  bool HasRoom(const QueuedRequest& request) const;
  // Who waits.
  const QueueShares& shares() const { return shares_; }

  // Requests are classified before. One that is put back gets its old place.
  void Push(std::unique_ptr<QueuedRequest> request);

  // What a batch for a pool may be.
  struct Limits {
    PoolKind kind = PoolKind::kCpu;
    // Rows at the head that are left to other pools, but for requests that insist on this kind.
    int64_t rows_to_leave = 0;
    int64_t max_rows = std::numeric_limits<int64_t>::max();
    // Tells which deadlines the batch would miss. Null: nobody knows.
    const CostModel* cost = nullptr;
    // Time until it would start.
    Duration starts_in{0};
    // Something of the model runs already. Else a batch goes even if it would miss its deadlines:
    // the prediction may be wrong, and only a batch can tell.
    bool running = false;
  };

  // What the next batch would be.
  struct Prospect {
    // The most urgent of its members; null where no request may run there.
    const QueuedRequest* first = nullptr;
    int64_t rows = 0;
    // It need not wait for more members.
    bool due = false;
    // When it will be due without more members.
    TimePoint due_at = kNever;
  };

  // Looks at the next batch within those limits. Its size is such that all its members are answered
  // in time, nine times of ten; where that makes it small and late ones behind would be lost by it,
  // the most urgent are given up instead.
  Prospect Peek(TimePoint now, const Limits& limits) const;

  // Takes that batch out, and adds the cancelled and expired requests that it met to `dead`. Empty
  // where only those were found.
  Requests Take(TimePoint now, const Limits& limits, Requests& dead);

  // The least time that an answer takes, wherever it comes from. What cannot be answered in time
  // because of it counts as expired, but for a batch that is being formed.
  void set_least_time(Duration time) { least_time_ = time; }
  Duration least_time() const { return least_time_; }

  // Takes out all that are cancelled or expired.
  void TakeDead(TimePoint now, Requests& dead);

  // Takes out those that a pool of neither given kind may run.
  void TakeUnservable(bool cpu, bool gpu, Requests& taken);

  // Takes out those that the test picks.
  void TakeIf(absl::FunctionRef<bool(const QueuedRequest&)> test, Requests& taken);

  // Rows that wait and go before the request.
  int64_t RowsBefore(const QueuedRequest& request) const;
  // About so many rows that wait are more urgent than a request of another model.
  int64_t RowsMoreUrgentThan(const QueuedRequest& request) const;
  bool GoesBefore(const QueuedRequest& a, const QueuedRequest& b) const;

  // Rows from the first to the last request that would miss its deadline, and those before them.
  struct LateRows {
    int64_t before = 0;
    int64_t rows = 0;
  };
  // Where `done_by` tells how many rows, in the queue's order, will have been done by then.
  LateRows FindLate(TimePoint now, absl::FunctionRef<int64_t(TimePoint)> done_by) const;

  // The most urgent request. Not for an empty queue.
  const QueuedRequest& front() const { return *requests_.front(); }

  // Rows that wait, and the rows of the next batch if none of them is left to others.
  int64_t rows() const { return rows_; }
  int64_t next_rows() const;
  // Rows of a full batch; where requests run alone, of the next one.
  int64_t full_rows() const { return joins_ ? max_rows_ : next_rows(); }

  // Requests may run together in one batch.
  bool joins() const { return joins_; }

  // A batch may be held back for more requests.
  bool holds_back() const { return max_delay_.count() > 0; }
  // Not any more: there will be none.
  void StopHoldingBack() { max_delay_ = Duration{0}; }

  // No waiting request expires earlier. May be too early.
  TimePoint earliest_expiry() const;

 private:
  struct Selection;
  struct Candidates;

  Selection Select(TimePoint now, const Limits& limits) const;
  // The alike requests at the head, up to so many rows: those of the next batch, or all that might
  // be in it.
  Candidates Collect(TimePoint now, const Limits& limits, int64_t max_rows, bool look_over) const;
  Selection FitDeadlines(TimePoint now, const Limits& limits, int64_t max_rows) const;
  // Picks a batch of `best`'s candidates that ends in time for all its members; none: it stays
  // empty.
  void Fit(TimePoint start, int64_t max_rows, absl::FunctionRef<Duration(int64_t)> time_of,
           Selection& best) const;
  TimePoint HoldUntil(const Limits& limits, const Selection& selection) const;
  // Rows that a batch of `available` rows should have; 0: better wait.
  int64_t Goal(TimePoint now, TimePoint hold_until, int64_t available) const;
  std::unique_ptr<QueuedRequest> TakeOut(std::unique_ptr<QueuedRequest>& place);
  void Compact(size_t end);

  struct Level {
    QueuePolicy policy;
    uint32_t waiting = 0;
  };

  const int64_t max_rows_;
  const bool joins_;
  const bool in_order_;
  Duration max_delay_;
  const std::vector<uint32_t> preferred_;
  const uint32_t default_level_;
  // By number; that of number 0 is for models without levels.
  std::vector<Level> levels_;
  std::deque<std::unique_ptr<QueuedRequest>> requests_;
  QueueShares shares_;
  int64_t rows_ = 0;
  TimePoint earliest_deadline_ = kNever;
  TimePoint earliest_wait_end_ = kNever;
  Duration least_time_{0};
};

// The order in which requests of different models run.
bool IsMoreUrgent(const QueuedRequest& a, const QueuedRequest& b);

// True where nobody waits for the answer any more, or it has waited for too long.
bool IsDead(const QueuedRequest& request, TimePoint now);

// Whether a pool of that kind may run the request.
bool MayRunOn(const QueuedRequest& request, PoolKind kind);

}  // namespace tandem
