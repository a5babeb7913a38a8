// What a pool told the router, kept for a test to wait for and to look at. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/backend.h"

namespace tandem::testing {

class RecordedEvents : public BackendEvents {
 public:
  struct Event {
    enum class Kind { kLaneUp, kLaneDown, kLoadPutOff, kModelReady, kModelFailed, kBatchDone } kind;
    uint32_t lane = 0;
    // The model's handle, or the batch.
    uint64_t id = 0;
    absl::Status status;
    std::vector<TensorSpec> inputs;
  };
  using Kind = Event::Kind;

  // Waits until there are so many events of the kind (and id, where one is given). False after a
  // long time.
  bool Await(Kind kind, size_t count, uint64_t id = 0);

  size_t Count(Kind kind, uint64_t id = 0) const;
  // All so far, in order.
  std::vector<Event> All() const;
  // The last of the kind; a default one where there is none.
  Event Last(Kind kind) const;
  // Waits for the batch's answer and takes it.
  BatchResult TakeResult(uint64_t batch_id);
  std::map<uint64_t, int> AnswersOfBatches() const;

  void OnLaneUp(LaneId lane) override;
  void OnLaneDown(LaneId lane, absl::Status reason) override;
  void OnWarmUp(LaneId, uint32_t, absl::Span<const WarmUpRun>) override {}
  void OnLoadPutOff(LaneId lane, uint32_t model_handle) override;
  void OnLoadBegun(LaneId, uint32_t) override {}
  void OnModelReady(LaneId lane, uint32_t model_handle, std::vector<TensorSpec> inputs,
                    std::vector<TensorSpec> outputs) override;
  void OnModelFailed(LaneId lane, uint32_t model_handle, absl::Status reason) override;
  void OnBatchDone(LaneId lane, uint64_t batch_id, BatchResult result) override;

 private:
  void Add(Event event);
  size_t CountLocked(Kind kind, uint64_t id) const;

  mutable std::mutex mutex_;
  std::condition_variable added_;
  // Guarded by mutex_.
  std::vector<Event> events_;
  std::map<uint64_t, BatchResult> results_;
};

}  // namespace tandem::testing
