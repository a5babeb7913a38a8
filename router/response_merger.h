// Collects the answers of the calls of one Predict and says when, and with what, to answer it.
// Pure: no threads, no clock of its own. Not thread-safe: its owner locks. Owned by one Predict.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"
#include "core/infer_request.h"

namespace tandem {

enum class MergePolicy {
  // Any call's failure fails the whole.
  kAll,
  // What is ready at the deadline counts; the rest has a status.
  kPartial,
};

// What became of one call.
struct MergedResult {
  std::string key;
  InferResponse response;
};

class ResponseMerger {
 public:
  // One key for each call, in the order of the reply. kNever: no deadline.
  ResponseMerger(std::vector<std::string> keys, MergePolicy policy, TimePoint deadline = kNever);

  ResponseMerger(ResponseMerger&&) = default;
  ResponseMerger& operator=(ResponseMerger&&) = default;

  // Takes the answer of the call `index`. True if it counts; false if it came too late: the call
  // already has an answer, or the whole is complete.
  bool Add(size_t index, InferResponse response);

  // Gives DEADLINE_EXCEEDED to the calls without an answer where the deadline has passed. True if
  // that completed it.
  bool Expire(TimePoint now);

  // All calls have an answer, or kAll and one has failed.
  bool complete() const { return complete_; }
  TimePoint deadline() const { return deadline_; }
  bool answered(size_t index) const { return answered_[index]; }
  // The answer of a call that has one.
  const MergedResult& result(size_t index) const { return results_[index]; }

  // Of the whole, once complete. kAll: the first failure, naming the call; kPartial: OK.
  const absl::Status& status() const { return status_; }

  // All results in the order of the keys, once complete. Under kAll with a failure, calls that were
  // not answered have CANCELLED.
  std::vector<MergedResult> Take() &&;

 private:
  void Fail(size_t index);

  MergePolicy policy_;
  TimePoint deadline_;
  std::vector<MergedResult> results_;
  std::vector<bool> answered_;
  size_t missing_;
  bool complete_;
  absl::Status status_;
};

}  // namespace tandem
