#include "server/predict_call.h"

#include <utility>

#include "server/grpc_call.h"
#include "server/predict_encoder.h"

namespace tandem::server {

void PredictCall::Start(const Clock& clock, Router& router, DecodedPredict request,
                        TimePoint arrival, TimePoint deadline) {
  PredictRun::Callbacks callbacks;
  callbacks.merged = [this](MergedPredict merged) {
    if (merged.status.ok()) *response_ = EncodePredictResponse(merged);
    Finish(EndingStatus(merged.status, context_));
  };
  const auto run = std::make_shared<PredictRun>(clock, router, std::move(request), arrival,
                                                deadline, std::move(callbacks));
  {
    absl::MutexLock lock(&mutex_);
    run_ = run;
  }
  // The call may have ended, and this with it, when Start returns.
  run->Start();
}

void PredictCall::OnCancel() {
  absl::MutexLock lock(&mutex_);
  if (run_ != nullptr) run_->Cancel();
}

void PredictCall::OnDone() { delete this; }

void PredictStreamCall::Start(const Clock& clock, Router& router, DecodedPredict request,
                              TimePoint arrival, TimePoint deadline) {
  PredictRun::Callbacks callbacks;
  callbacks.result = [this, arrival](const MergedResult& result) {
    Send(EncodeStreamResult(result, arrival));
  };
  callbacks.merged = [this](MergedPredict merged) {
    if (merged.status.ok()) Send(EncodeStreamMerged(merged));
    End(EndingStatus(merged.status, context_));
  };
  const auto run = std::make_shared<PredictRun>(clock, router, std::move(request), arrival,
                                                deadline, std::move(callbacks));
  {
    absl::MutexLock lock(&mutex_);
    run_ = run;
  }
  run->Start();
}

void PredictStreamCall::Send(grpc::ByteBuffer message) {
  absl::MutexLock lock(&mutex_);
  messages_.push_back(std::move(message));
  // Cannot be the end: that comes with End.
  (void)Proceed();
}

void PredictStreamCall::End(const grpc::Status& status) {
  bool done = false;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    status_ = status;
    done = Proceed();
  }
  if (done) Finish(status);
}

void PredictStreamCall::OnWriteDone(bool ok) {
  bool done = false;
  grpc::Status status;
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    messages_.pop_front();
    // The client cannot be written to any more.
    if (!ok) messages_.clear();
    done = Proceed();
    status = status_;
  }
  if (done) Finish(status);
}

bool PredictStreamCall::Proceed() {
  if (!writing_ && !messages_.empty()) {
    writing_ = true;
    StartWrite(&messages_.front());
  }
  if (finished_ || writing_ || !ended_) return false;
  finished_ = true;
  return true;
}

void PredictStreamCall::OnCancel() {
  absl::MutexLock lock(&mutex_);
  if (run_ != nullptr) run_->Cancel();
}

void PredictStreamCall::OnDone() { delete this; }

}  // namespace tandem::server
