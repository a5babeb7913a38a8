#include "router/response_merger.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/retry_hint.h"

namespace tandem {

ResponseMerger::ResponseMerger(std::vector<std::string> keys, MergePolicy policy,
                               TimePoint deadline)
    : policy_(policy),
      deadline_(deadline),
      results_(keys.size()),
      answered_(keys.size()),
      missing_(keys.size()),
      complete_(keys.empty()) {
  for (size_t i = 0; i < keys.size(); ++i) results_[i].key = std::move(keys[i]);
}

bool ResponseMerger::Add(size_t index, InferResponse response) {
  if (complete_ || answered_[index]) return false;
  answered_[index] = true;
  --missing_;
  results_[index].response = std::move(response);
  if (policy_ == MergePolicy::kAll && !results_[index].response.status.ok()) {
    Fail(index);
  } else {
    complete_ = missing_ == 0;
  }
  return true;
}

bool ResponseMerger::Expire(TimePoint now) {
  if (complete_ || now < deadline_) return false;
  for (size_t i = 0; i < results_.size() && !complete_; ++i) {
    if (answered_[i]) continue;
    InferResponse late;
    late.status = absl::DeadlineExceededError("no answer before the deadline");
    Add(i, std::move(late));
  }
  return true;
}

// The call `index` fails the whole.
void ResponseMerger::Fail(size_t index) {
  const absl::Status& why = results_[index].response.status;
  status_ = absl::Status(
      why.code(), absl::StrCat("call \"", results_[index].key, "\" failed: ", why.message()));
  if (const std::optional<Duration> after = RetryAfter(why)) {
    status_ = WithRetryAfter(std::move(status_), *after);
  }
  complete_ = true;
  for (size_t i = 0; i < results_.size(); ++i) {
    if (answered_[i]) continue;
    results_[i].response.status =
        absl::CancelledError(absl::StrCat("call \"", results_[index].key, "\" failed"));
  }
}

std::vector<MergedResult> ResponseMerger::Take() && { return std::move(results_); }

}  // namespace tandem
