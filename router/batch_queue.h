// The requests of one model version that wait, oldest first, and the forming of batches out of
// them. A state machine without clock or threads: time comes with each call. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "core/model_config.h"
#include "router/queued_request.h"

namespace tandem {

using Requests = std::vector<std::unique_ptr<QueuedRequest>>;

class BatchQueue {
 public:
  explicit BatchQueue(const ModelConfig& config);

  size_t size() const { return requests_.size(); }
  bool empty() const { return requests_.empty(); }

  // Requests stand in the order of their sequence numbers; one that is put back gets its old place.
  void Push(std::unique_ptr<QueuedRequest> request);

  // What the next batch for a pool would be.
  struct Prospect {
    // The oldest of its members; null where no request may run there.
    const QueuedRequest* oldest = nullptr;
    int64_t rows = 0;
    // It need not wait for more members.
    bool due = false;
    // When it will be due without more members.
    TimePoint due_at = kNever;
  };

  // Looks at the next batch for a pool of that kind. `rows_to_leave` rows at the head are left to
  // other pools, but for requests that insist on this kind.
  Prospect Peek(TimePoint now, PoolKind kind, int64_t rows_to_leave) const;

  // Takes that batch out, and adds the cancelled and expired requests that it met to `dead`. Empty
  // where only those were found.
  Requests Take(TimePoint now, PoolKind kind, int64_t rows_to_leave, Requests& dead);

  // Takes out all that are cancelled or expired.
  void TakeDead(TimePoint now, Requests& dead);

  // Takes out those that a pool of neither given kind may run.
  void TakeUnservable(bool cpu, bool gpu, Requests& taken);

  // The oldest request. Not for an empty queue.
  const QueuedRequest& front() const { return *requests_.front(); }

  // Rows that wait, and the rows of the next batch if none of them is left to others.
  int64_t rows() const { return rows_; }
  int64_t next_rows() const;
  // Rows of a full batch; where requests run alone, of the next one.
  int64_t full_rows() const { return joins_ ? max_rows_ : next_rows(); }

  // A batch may be held back for more requests.
  bool holds_back() const { return max_delay_.count() > 0; }

  // No deadline of a waiting request is earlier. May be too early.
  TimePoint earliest_deadline() const { return earliest_deadline_; }

 private:
  struct Selection;

  Selection Select(TimePoint now, PoolKind kind, int64_t rows_to_leave) const;
  // Rows that a batch of `available` rows should have; 0: better wait.
  int64_t Goal(TimePoint now, int64_t available, const QueuedRequest& oldest) const;
  void Compact(size_t end);

  const int64_t max_rows_;
  const bool joins_;
  const Duration max_delay_;
  const std::vector<uint32_t> preferred_;
  std::deque<std::unique_ptr<QueuedRequest>> requests_;
  int64_t rows_ = 0;
  TimePoint earliest_deadline_ = kNever;
};

// True where nobody waits for the answer any more.
bool IsDead(const QueuedRequest& request, TimePoint now);

// Whether a pool of that kind may run the request.
bool MayRunOn(const QueuedRequest& request, PoolKind kind);

}  // namespace tandem
