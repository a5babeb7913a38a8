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

// What is held back for others goes so long before it would be late: a timer may come late, too.
constexpr Duration kHoldMargin = std::chrono::milliseconds(5);

// Batches that are looked over for the members of one.
constexpr int64_t kBatchesToLookOver = 4;

}  // namespace

bool IsMoreUrgent(const QueuedRequest& a, const QueuedRequest& b) {
  return a.due != b.due ? a.due < b.due : a.sequence < b.sequence;
}

bool IsDead(const QueuedRequest& request, TimePoint now) {
  return request.deadline() <= now || request.wait_until <= now || request.request->is_cancelled();
}

bool MayRunOn(const QueuedRequest& request, PoolKind kind) {
  return request.request->pool == PoolPreference::kAny || InsistsOn(request, kind);
}

// Requests that might run together, by their places in the queue.
struct BatchQueue::Candidates {
  absl::InlinedVector<size_t, 32> places;
  int64_t rows = 0;
  TimePoint first_deadline = kNever;
  // Places before this one were looked at.
  size_t end = 0;
};

// Those of them that would.
struct BatchQueue::Selection {
  Candidates candidates;
  size_t first = 0;
  size_t last = 0;
  int64_t rows = 0;

  bool empty() const { return first == last; }
};

BatchQueue::BatchQueue(const ModelConfig& config)
    : max_rows_(std::max<int64_t>(config.max_batch_size, 1)),
      joins_(config.dynamic_batching && config.max_batch_size > 1),
      in_order_(config.preserve_ordering),
      max_delay_(joins_ ? config.max_queue_delay : Duration{0}),
      preferred_(config.preferred_batch_sizes),
      default_level_(config.default_priority_level),
      levels_(config.priority_levels + 1) {
  for (Level& level : levels_) level.policy = config.queue_policy;
  for (const auto& [number, policy] : config.level_policies) {
    if (number < levels_.size()) levels_[number].policy = policy;
  }
}

void BatchQueue::Classify(QueuedRequest& request, Duration time) const {
  // Twice the time, since a lane may have just begun with another's batch.
  request.due = std::min(request.deadline() - 2 * time, request.arrival() + kPatience);
  const uint32_t asked = request.request->priority;
  request.level = asked > 0 && asked < levels_.size() ? asked : default_level_;
  const QueuePolicy& policy = levels_[request.level].policy;
  if (policy.default_timeout.count() == 0) return;
  (policy.delay_on_timeout ? request.delay_at : request.wait_until) =
      request.arrival() + policy.default_timeout;
}

bool BatchQueue::HasRoom(const QueuedRequest& request) const {
  const Level& level = levels_[request.level];
  return level.policy.max_queue_size == 0 || level.waiting < level.policy.max_queue_size;
}

bool BatchQueue::GoesBefore(const QueuedRequest& a, const QueuedRequest& b) const {
  if (in_order_) return a.sequence < b.sequence;
  if (a.delayed != b.delayed) return b.delayed;
  if (a.level != b.level) return a.level < b.level;
  return IsMoreUrgent(a, b);
}

void BatchQueue::Push(std::unique_ptr<QueuedRequest> request) {
  rows_ += request->rows;
  ++levels_[request->level].waiting;
  shares_.Add(request->request->client, request->bytes);
  earliest_deadline_ = std::min(earliest_deadline_, request->deadline());
  earliest_wait_end_ = std::min({earliest_wait_end_, request->wait_until, request->delay_at});
  auto place = requests_.end();
  while (place != requests_.begin() && GoesBefore(*request, **std::prev(place))) --place;
  requests_.insert(place, std::move(request));
}

// Of one that the caller takes out.
std::unique_ptr<QueuedRequest> BatchQueue::TakeOut(std::unique_ptr<QueuedRequest>& place) {
  rows_ -= place->rows;
  --levels_[place->level].waiting;
  shares_.Remove(place->request->client, place->bytes);
  return std::move(place);
}

int64_t BatchQueue::RowsBefore(const QueuedRequest& request) const {
  int64_t rows = rows_;
  for (size_t i = requests_.size(); i-- > 0;) {
    if (!GoesBefore(request, *requests_[i])) break;
    rows -= requests_[i]->rows;
  }
  return rows;
}

// By their number, as if all had as many rows. Where something else than urgency orders them, as
// priority levels do, it is a guess.
int64_t BatchQueue::RowsMoreUrgentThan(const QueuedRequest& request) const {
  const auto end = std::partition_point(
      requests_.begin(), requests_.end(),
      [&](const std::unique_ptr<QueuedRequest>& each) { return IsMoreUrgent(*each, request); });
  const auto before = static_cast<int64_t>(end - requests_.begin());
  if (before == 0) return 0;
  const auto waiting = static_cast<int64_t>(requests_.size());
  return std::max<int64_t>(1, rows_ * before / waiting);
}

BatchQueue::LateRows BatchQueue::FindLate(TimePoint now,
                                          absl::FunctionRef<int64_t(TimePoint)> done_by) const {
  LateRows late;
  int64_t passed = 0;
  int64_t in_time = 0;
  for (const std::unique_ptr<QueuedRequest>& request : requests_) {
    if (IsDead(*request, now)) continue;
    passed += request->rows;
    const TimePoint deadline = request->deadline();
    if (deadline == kNever || in_time + request->rows <= done_by(deadline)) {
      in_time += request->rows;
      continue;
    }
    if (late.rows == 0) late.before = passed - request->rows;
    late.rows = passed - late.before;
  }
  return late;
}

BatchQueue::Candidates BatchQueue::Collect(TimePoint now, const Limits& limits, int64_t max_rows,
                                           bool look_over) const {
  Candidates found;
  int64_t rows_to_leave = limits.rows_to_leave;
  for (size_t i = 0; i < requests_.size(); ++i) {
    const QueuedRequest& request = *requests_[i];
    found.end = i + 1;
    if (IsDead(request, now)) continue;
    const bool is_left = rows_to_leave > 0 && !InsistsOn(request, limits.kind);
    if (is_left) rows_to_leave -= std::min(rows_to_leave, request.rows);
    const bool joins = found.places.empty() ||
                       (!request.alone && RowsAreAlike(*requests_[found.places[0]], request));
    if (is_left || !joins || !MayRunOn(request, limits.kind)) {
      if (in_order_) break;
      continue;
    }
    // Later ones that would still fit do not overtake it.
    if (!found.places.empty() && found.rows + request.rows > max_rows) break;
    found.places.push_back(i);
    found.rows += request.rows;
    found.first_deadline = std::min(found.first_deadline, request.deadline());
    if ((!joins_ && !look_over) || request.alone || found.rows >= max_rows) break;
  }
  return found;
}

BatchQueue::Selection BatchQueue::Select(TimePoint now, const Limits& limits) const {
  const int64_t max_rows = std::clamp<int64_t>(limits.max_rows, 1, max_rows_);
  Selection all;
  all.candidates = Collect(now, limits, max_rows, /*look_over=*/false);
  all.last = all.candidates.places.size();
  all.rows = all.candidates.rows;
  // Where answers keep the order, nobody is passed over because of a deadline.
  if (limits.cost == nullptr || all.candidates.first_deadline == kNever || in_order_) return all;
  const TimePoint end = now + limits.starts_in + limits.cost->PredictLate(all.rows);
  if (end <= all.candidates.first_deadline) return all;
  return FitDeadlines(now, limits, max_rows);
}

// The batch that loses nobody. Where there is none, the one that answers most requests in time for
// the time that it takes: with more work than can be done it is better to give up a few that have
// waited too long than to run one small batch after another for them.
BatchQueue::Selection BatchQueue::FitDeadlines(TimePoint now, const Limits& limits,
                                               int64_t max_rows) const {
  Selection selection;
  selection.candidates = Collect(now, limits, kBatchesToLookOver * max_rows, /*look_over=*/true);
  const TimePoint start = now + limits.starts_in;
  // Rather surely in time; else perhaps; else, where only trying can tell, the first.
  for (const auto predict : {&CostModel::PredictLate, &CostModel::Predict}) {
    Fit(
        start, max_rows, [&](int64_t rows) { return (limits.cost->*predict)(rows); }, selection);
    if (!selection.empty()) return selection;
  }
  if (!limits.running && !selection.candidates.places.empty()) {
    selection.last = 1;
    selection.rows = requests_[selection.candidates.places[0]]->rows;
  }
  return selection;
}

void BatchQueue::Fit(TimePoint start, int64_t max_rows,
                     absl::FunctionRef<Duration(int64_t)> time_of, Selection& best) const {
  const auto& places = best.candidates.places;
  const auto request = [&](size_t i) -> const QueuedRequest& { return *requests_[places[i]]; };
  double best_rate = 0;
  int64_t rows_behind = best.candidates.rows;
  for (size_t first = 0; first < places.size(); ++first) {
    size_t last = first;
    int64_t rows = 0;
    TimePoint deadline = kNever;
    while (last < places.size() && (last == first || joins_) &&
           rows + request(last).rows <= max_rows) {
      deadline = std::min(deadline, request(last).deadline());
      if (start + time_of(rows + request(last).rows) > deadline) break;
      rows += request(last++).rows;
    }
    if (rows > 0) {
      const Duration time = time_of(rows);
      const double rate = static_cast<double>(rows) / ToSeconds(time);
      if (rate > best_rate) {
        best_rate = rate;
        best.first = first;
        best.last = last;
        best.rows = rows;
      }
      if (last == places.size() || rows >= max_rows) return;
      // Nobody is lost by it: the next batch will be in time for its most urgent member.
      const int64_t next_rows = std::min(max_rows, rows_behind - rows);
      if (start + time + time_of(next_rows) <= request(last).deadline()) return;
    }
    rows_behind -= request(first).rows;
  }
}

// Until when the batch may be held back for more requests: for as long as its oldest one allows,
// and as none waits too long and all are answered in time. Not at all where a full batch waits, be
// it behind this one, nor where nobody knows how long it takes and one has a deadline.
TimePoint BatchQueue::HoldUntil(const Limits& limits, const Selection& selection) const {
  const auto& places = selection.candidates.places;
  const QueuedRequest& first = *requests_[places[selection.first]];
  if (max_delay_.count() <= 0 || first.alone || rows_ >= max_rows_) return first.arrival();
  TimePoint oldest = kNever;
  TimePoint deadline = kNever;
  TimePoint wait_until = kNever;
  for (size_t i = selection.first; i < selection.last; ++i) {
    const QueuedRequest& member = *requests_[places[i]];
    oldest = std::min(oldest, member.arrival());
    deadline = std::min(deadline, member.deadline());
    wait_until = std::min(wait_until, member.wait_until);
  }
  TimePoint until = oldest + max_delay_;
  if (wait_until != kNever) until = std::min(until, wait_until - kHoldMargin);
  if (deadline == kNever) return until;
  if (limits.cost == nullptr) return first.arrival();
  return std::min(
      until, deadline - limits.starts_in - kHoldMargin - limits.cost->PredictLate(selection.rows));
}

int64_t BatchQueue::Goal(TimePoint now, TimePoint hold_until, int64_t available) const {
  if (now >= hold_until || available >= max_rows_) return available;
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

BatchQueue::Prospect BatchQueue::Peek(TimePoint now, const Limits& limits) const {
  Prospect prospect;
  const Selection selection = Select(now, limits);
  if (selection.empty()) return prospect;
  prospect.first = requests_[selection.candidates.places[selection.first]].get();
  const TimePoint hold_until = HoldUntil(limits, selection);
  const int64_t goal = Goal(now, hold_until, selection.rows);
  prospect.due = goal > 0;
  prospect.rows = goal > 0 ? goal : selection.rows;
  prospect.due_at = prospect.due ? now : hold_until;
  return prospect;
}

Requests BatchQueue::Take(TimePoint now, const Limits& limits, Requests& dead) {
  const Selection selection = Select(now, limits);
  const Candidates& candidates = selection.candidates;
  Requests members;
  if (!selection.empty()) {
    const int64_t goal = Goal(now, HoldUntil(limits, selection), selection.rows);
    members.reserve(selection.last - selection.first);
    int64_t rows = 0;
    for (size_t i = selection.first; i < selection.last; ++i) {
      std::unique_ptr<QueuedRequest>& request = requests_[candidates.places[i]];
      if (!members.empty() && goal > 0 && rows + request->rows > goal) break;
      rows += request->rows;
      members.push_back(TakeOut(request));
    }
  }
  for (size_t i = 0; i < candidates.end; ++i) {
    if (requests_[i] == nullptr || !IsDead(*requests_[i], now)) continue;
    dead.push_back(TakeOut(requests_[i]));
  }
  Compact(candidates.end);
  return members;
}

void BatchQueue::TakeDead(TimePoint now, Requests& dead) {
  earliest_deadline_ = kNever;
  earliest_wait_end_ = kNever;
  Requests delayed;
  for (std::unique_ptr<QueuedRequest>& request : requests_) {
    if (IsDead(*request, now) || request->deadline() - least_time_ <= now) {
      dead.push_back(TakeOut(request));
    } else if (request->delay_at <= now) {
      delayed.push_back(TakeOut(request));
    } else {
      earliest_deadline_ = std::min(earliest_deadline_, request->deadline());
      earliest_wait_end_ = std::min({earliest_wait_end_, request->wait_until, request->delay_at});
    }
  }
  Compact(requests_.size());
  for (std::unique_ptr<QueuedRequest>& request : delayed) {
    request->delayed = true;
    request->delay_at = kNever;
    Push(std::move(request));
  }
}

void BatchQueue::TakeUnservable(bool cpu, bool gpu, Requests& taken) {
  TakeIf(
      [&](const QueuedRequest& request) {
        return !(cpu && MayRunOn(request, PoolKind::kCpu)) &&
               !(gpu && MayRunOn(request, PoolKind::kGpu));
      },
      taken);
}

void BatchQueue::TakeIf(absl::FunctionRef<bool(const QueuedRequest&)> test, Requests& taken) {
  for (std::unique_ptr<QueuedRequest>& request : requests_) {
    if (test(*request)) taken.push_back(TakeOut(request));
  }
  Compact(requests_.size());
}

TimePoint BatchQueue::earliest_expiry() const {
  return std::min(earliest_wait_end_,
                  earliest_deadline_ == kNever ? kNever : earliest_deadline_ - least_time_);
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
  if (requests_.empty()) earliest_deadline_ = earliest_wait_end_ = kNever;
}

}  // namespace tandem
