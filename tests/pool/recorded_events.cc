#include "tests/pool/recorded_events.h"

#include <algorithm>

namespace tandem::testing {
namespace {

// Only a test that fails waits so long.
constexpr std::chrono::seconds kPatience(40);

}  // namespace

bool RecordedEvents::Await(Kind kind, size_t count, uint64_t id) {
  std::unique_lock lock(mutex_);
  return added_.wait_for(lock, kPatience, [&] { return CountLocked(kind, id) >= count; });
}

size_t RecordedEvents::Count(Kind kind, uint64_t id) const {
  const std::lock_guard lock(mutex_);
  return CountLocked(kind, id);
}

std::vector<RecordedEvents::Event> RecordedEvents::All() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

RecordedEvents::Event RecordedEvents::Last(Kind kind) const {
  const std::lock_guard lock(mutex_);
  const auto last = std::find_if(events_.rbegin(), events_.rend(),
                                 [kind](const Event& event) { return event.kind == kind; });
  return last == events_.rend() ? Event{kind, 0, 0, {}, {}} : *last;
}

BatchResult RecordedEvents::TakeResult(uint64_t batch_id) {
  std::unique_lock lock(mutex_);
  const bool arrived =
      added_.wait_for(lock, kPatience, [&] { return results_.contains(batch_id); });
  BatchResult result;
  result.status = absl::DeadlineExceededError("the test waited in vain");
  if (!arrived) return result;
  result = std::move(results_[batch_id]);
  results_.erase(batch_id);
  return result;
}

std::map<uint64_t, int> RecordedEvents::AnswersOfBatches() const {
  const std::lock_guard lock(mutex_);
  std::map<uint64_t, int> answers;
  for (const Event& event : events_) {
    if (event.kind == Kind::kBatchDone) ++answers[event.id];
  }
  return answers;
}

void RecordedEvents::OnLaneUp(LaneId lane) { Add({Kind::kLaneUp, lane.lane, 0, {}, {}}); }

void RecordedEvents::OnLaneDown(LaneId lane, absl::Status reason) {
  Add({Kind::kLaneDown, lane.lane, 0, std::move(reason), {}});
}

void RecordedEvents::OnLoadPutOff(LaneId lane, uint32_t model_handle) {
  Add({Kind::kLoadPutOff, lane.lane, model_handle, {}, {}});
}

void RecordedEvents::OnModelReady(LaneId lane, uint32_t model_handle,
                                  std::vector<TensorSpec> inputs, std::vector<TensorSpec>) {
  Add({Kind::kModelReady, lane.lane, model_handle, {}, std::move(inputs)});
}

void RecordedEvents::OnModelFailed(LaneId lane, uint32_t model_handle, absl::Status reason) {
  Add({Kind::kModelFailed, lane.lane, model_handle, std::move(reason), {}});
}

void RecordedEvents::OnBatchDone(LaneId lane, uint64_t batch_id, BatchResult result) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back({Kind::kBatchDone, lane.lane, batch_id, result.status, {}});
    results_.insert_or_assign(batch_id, std::move(result));
  }
  added_.notify_all();
}

void RecordedEvents::Add(Event event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  added_.notify_all();
}

size_t RecordedEvents::CountLocked(Kind kind, uint64_t id) const {
  return static_cast<size_t>(std::count_if(events_.begin(), events_.end(), [&](const Event& event) {
    return event.kind == kind && (id == 0 || event.id == id);
  }));
}

}  // namespace tandem::testing
