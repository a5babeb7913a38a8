// Runs the calls of one Predict and joins their answers. Thread-safe: answers come from any thread.
// Keeps itself alive until it is merged and every call has been answered; borrows router and clock,
// which outlive it.
#pragma once

#include <grpcpp/alarm.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "router/combine.h"
#include "router/response_merger.h"
#include "router/router.h"
#include "server/predict_decoder.h"
#include "server/task_thread.h"

namespace tandem::server {

// The merged answer.
struct MergedPredict {
  // Of the whole call.
  absl::Status status;
  std::string id;
  std::vector<MergedResult> results;
  // Null where none was asked for, or nothing is there to combine. Shared with gRPC, which sends
  // its bytes.
  std::shared_ptr<const CombinedTensor> combined;
  TimePoint arrival{};
  Duration total_time{0};
};

class PredictRun : public std::enable_shared_from_this<PredictRun> {
 public:
  struct Callbacks {
    // Each call's answer, as it arrives, one at a time and never after `merged`: the first may
    // change it, before it is kept until all are there. The second may be empty.
    std::function<void(InferResponse*)> admit;
    std::function<void(const MergedResult&)> result;
    // Once, at the end.
    std::function<void(MergedPredict)> merged;
  };

  // `combiner`: combines outputs that are large, since the last answer comes on a thread that has
  // others to bring.
  PredictRun(const Clock& clock, Router& router, TaskThread& combiner, DecodedPredict request,
             TimePoint arrival, TimePoint deadline, Callbacks callbacks);

  // Submits the calls. `merged` may be called before it returns.
  void Start();

  // The client has gone: what still waits is dropped.
  void Cancel() { cancelled_->store(true, std::memory_order_relaxed); }

 private:
  // One call, and what is known of its model.
  struct Member {
    size_t index = 0;
    absl::StatusOr<ModelStatus> model;
    // Of one row, on the pool that is fastest. Where nothing is known of it, it may be long.
    Duration expected_time() const {
      const bool known = model.ok() && model->expected_time.count() > 0;
      return known ? model->expected_time : Duration::max();
    }
  };

  void Submit(const Member& member);
  void OnAnswer(size_t index, InferResponse response);
  void OnDeadline();
  void Merge(ResponseMerger merger);
  void Combine(MergedPredict merged) const;
  absl::Status CombineOutputs(MergedPredict* merged) const;

  const Clock& clock_;
  Router& router_;
  TaskThread& combiner_;
  const DecodedPredict request_;
  const TimePoint arrival_;
  const TimePoint deadline_;
  const Callbacks callbacks_;
  // Shared with the router, which may look at it after the call has ended.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  grpc::Alarm alarm_;

  absl::Mutex mutex_;
  ResponseMerger merger_ ABSL_GUARDED_BY(mutex_);
  bool merged_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::server
