#include "router/batch_queue.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"

namespace tandem {
namespace {

bool InsistsOn(const QueuedRequest& request, PoolKind kind) {
  const PoolPreference preference = request.request->pool;
  return kind == PoolKind::kCpu ? preference == PoolPreference::kCpu
                                : preference == PoolPreference::kGpu;
}

// Equal types, and equal shapes but for the number of rows.
bool RowsAreAlike(const QueuedRequest& a, const QueuedRequest& b) {
  if (a.inputs.size() != b.inputs.size()) return false;
  for (size_t i = 0; i < a.inputs.size(); ++i) {
    const Tensor& x = a.inputs[i];
    const Tensor& y = b.inputs[i];
    if (x.type != y.type || x.shape.size() != y.shape.size()) return false;
    if (x.shape.empty()) continue;
    if (!std::equal(x.shape.begin() + 1, x.shape.end(), y.shape.begin() + 1)) return false;
  }
  return true;
}

}  // namespace

bool IsDead(const QueuedRequest& request, TimePoint now) {
  return request.deadline() <= now || request.request->is_cancelled();
}

bool MayRunOn(const QueuedRequest& request, PoolKind kind) {
  return request.request->pool == PoolPreference::kAny || InsistsOn(request, kind);
}

// Requests that would run together, by their places in the queue.
struct BatchQueue::Selection {
  absl::InlinedVector<size_t, 16> places;
  int64_t rows = 0;
  // Places before this one were looked at.
  size_t end = 0;
};

BatchQueue::BatchQueue(const ModelConfig& config)
    : max_rows_(std::max<int64_t>(config.max_batch_size, 1)),
      joins_(config.dynamic_batching && config.max_batch_size > 1),
      max_delay_(joins_ ? config.max_queue_delay : Duration{0}),
      preferred_(config.preferred_batch_sizes) {}

void BatchQueue::Push(std::unique_ptr<QueuedRequest> request) {
  rows_ += request->rows;
  earliest_deadline_ = std::min(earliest_deadline_, request->deadline());
  auto place = requests_.end();
  while (place != requests_.begin() && (*std::prev(place))->sequence > request->sequence) --place;
  requests_.insert(place, std::move(request));
}

BatchQueue::Selection BatchQueue::Select(TimePoint now, PoolKind kind,
                                         int64_t rows_to_leave) const {
  Selection selection;
  for (size_t i = 0; i < requests_.size(); ++i) {
    const QueuedRequest& request = *requests_[i];
    selection.end = i + 1;
    if (IsDead(request, now)) continue;
    if (rows_to_leave > 0 && !InsistsOn(request, kind)) {
      rows_to_leave -= std::min(rows_to_leave, request.rows);
      continue;
    }
    if (!MayRunOn(request, kind)) continue;
    if (!selection.places.empty()) {
      if (request.alone || !RowsAreAlike(*requests_[selection.places.front()], request)) continue;
      // Later ones that would still fit do not overtake it.
      if (selection.rows + request.rows > max_rows_) break;
    }
    selection.places.push_back(i);
    selection.rows += request.rows;
    if (!joins_ || request.alone || selection.rows >= max_rows_) break;
  }
  return selection;
}

int64_t BatchQueue::Goal(TimePoint now, int64_t available, const QueuedRequest& oldest) const {
  if (max_delay_.count() <= 0 || oldest.alone || available >= max_rows_) return available;
  if (now - oldest.arrival() >= max_delay_) return available;
  int64_t goal = 0;
  for (const uint32_t size : preferred_) {
    if (size <= available) goal = size;
  }
  return goal;
}

int64_t BatchQueue::next_rows() const {
  if (requests_.empty()) return 1;
  return joins_ ? std::min(rows_, max_rows_) : requests_.front()->rows;
}

BatchQueue::Prospect BatchQueue::Peek(TimePoint now, PoolKind kind, int64_t rows_to_leave) const {
  Prospect prospect;
  const Selection selection = Select(now, kind, rows_to_leave);
  if (selection.places.empty()) return prospect;
  prospect.oldest = requests_[selection.places.front()].get();
  const int64_t goal = Goal(now, selection.rows, *prospect.oldest);
  prospect.due = goal > 0;
  prospect.rows = goal > 0 ? goal : selection.rows;
  prospect.due_at = prospect.due ? now : prospect.oldest->arrival() + max_delay_;
  return prospect;
}

Requests BatchQueue::Take(TimePoint now, PoolKind kind, int64_t rows_to_leave, Requests& dead) {
  const Selection selection = Select(now, kind, rows_to_leave);
  Requests members;
  if (!selection.places.empty()) {
    const int64_t goal = Goal(now, selection.rows, *requests_[selection.places.front()]);
    members.reserve(selection.places.size());
    int64_t rows = 0;
    for (const size_t place : selection.places) {
      const int64_t more = requests_[place]->rows;
      if (!members.empty() && goal > 0 && rows + more > goal) break;
      rows += more;
      members.push_back(std::move(requests_[place]));
    }
    rows_ -= rows;
  }
  for (size_t i = 0; i < selection.end; ++i) {
    if (requests_[i] == nullptr || !IsDead(*requests_[i], now)) continue;
    rows_ -= requests_[i]->rows;
    dead.push_back(std::move(requests_[i]));
  }
  Compact(selection.end);
  return members;
}

void BatchQueue::TakeDead(TimePoint now, Requests& dead) {
  earliest_deadline_ = kNever;
  for (std::unique_ptr<QueuedRequest>& request : requests_) {
    if (IsDead(*request, now)) {
      rows_ -= request->rows;
      dead.push_back(std::move(request));
    } else {
      earliest_deadline_ = std::min(earliest_deadline_, request->deadline());
    }
  }
  Compact(requests_.size());
}

void BatchQueue::TakeUnservable(bool cpu, bool gpu, Requests& taken) {
  for (std::unique_ptr<QueuedRequest>& request : requests_) {
    if (cpu && MayRunOn(*request, PoolKind::kCpu)) continue;
    if (gpu && MayRunOn(*request, PoolKind::kGpu)) continue;
    rows_ -= request->rows;
    taken.push_back(std::move(request));
  }
  Compact(requests_.size());
}

// Closes the gaps among the first `end` places.
void BatchQueue::Compact(size_t end) {
  size_t kept = end;
  for (size_t i = end; i-- > 0;) {
    if (requests_[i] == nullptr) continue;
    --kept;
    if (kept != i) requests_[kept] = std::move(requests_[i]);
  }
  requests_.erase(requests_.begin(), requests_.begin() + static_cast<std::ptrdiff_t>(kept));
  if (requests_.empty()) earliest_deadline_ = kNever;
}

}  // namespace tandem
