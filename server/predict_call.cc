#include "server/predict_call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/predict_decoder.h"
#include "server/predict_encoder.h"

namespace tandem::server {
namespace {

// How long before gRPC's deadline a partial reply goes out: gRPC would drop it afterwards. The
// deadline is counted from the request's arrival, so both ways and a busy machine have to fit.
Duration ReplyMargin(Duration left) {
  return std::min<Duration>(std::chrono::milliseconds(200), left / 10);
}

}  // namespace

void PredictResponder::Answer(const grpc::ByteBuffer& request) {
  const TimePoint arrival = clock_.Now();
  const absl::Status accepts = state_.accepts();
  absl::StatusOr<DecodedPredict> decoded =
      accepts.ok() ? DecodePredictRequest(request) : absl::StatusOr<DecodedPredict>(accepts);
  if (!decoded.ok()) {
    router_.NoteRefused(decoded.status());
    call().Finish(decoded.status());
    return;
  }
  client_ = call().client();
  decoded->client = client_;
  const TimePoint deadline = Deadline(*decoded, arrival);
  run_ = std::make_shared<PredictRun>(clock_, router_, combiner_, *std::move(decoded), arrival,
                                      deadline, MakeCallbacks(arrival));
  run_->Start();
}

TimePoint PredictResponder::Deadline(const DecodedPredict& request, TimePoint arrival) {
  TimePoint deadline = call().Deadline(arrival);
  if (deadline != kNever && request.policy == MergePolicy::kPartial) {
    deadline -= ReplyMargin(std::max(Duration{0}, deadline - arrival));
  }
  const uint64_t timeout_us = request.message->timeout_us();
  // Beyond this a timeout is none.
  constexpr uint64_t kLongestUs = uint64_t{1} << 50;
  if (timeout_us > 0 && timeout_us < kLongestUs) {
    deadline = std::min<TimePoint>(
        deadline, arrival + std::chrono::microseconds(static_cast<int64_t>(timeout_us)));
  }
  return deadline;
}

void PredictResponder::OnCancel() {
  if (run_ != nullptr) run_->Cancel();
}

void PredictResponder::Admit(InferResponse* response) const {
  if (!response->status.ok()) return;
  response->status = unsent_.Admit(client_, response);
  if (response->status.ok()) return;
  response->outputs.clear();
  response->keep_alive.reset();
}

void PredictResponder::AdmitCombined(MergedPredict* merged) const {
  if (!merged->status.ok() || merged->combined == nullptr) return;
  absl::StatusOr<std::shared_ptr<const void>> counted =
      unsent_.AdmitCopy(client_, merged->combined->bytes.size(), merged->combined);
  merged->status = counted.status();
  if (!counted.ok()) return;
  merged->combined =
      std::shared_ptr<const CombinedTensor>(*std::move(counted), merged->combined.get());
}

PredictRun::Callbacks PredictCall::MakeCallbacks(TimePoint) {
  PredictRun::Callbacks callbacks;
  call().Expect();
  callbacks.admit = [this](InferResponse* response) {
    if (!response->status.ok()) return;
    Admit(response);
    absl::Status& status = response->status;
    if (status.ok()) {
      ++admitted_;
    } else if (admitted_ > 0) {
      status = absl::Status(status.code(),
                            absl::StrCat(status.message(), "; the ", admitted_,
                                         " results before it in this reply count, too: call fewer "
                                         "models at once"));
    }
  };
  callbacks.merged = [this](MergedPredict merged) {
    call().Answer([this, merged = std::move(merged)]() mutable {
      AdmitCombined(&merged);
      if (merged.status.ok()) {
        call().Finish(EncodePredictResponse(merged));
      } else {
        call().Finish(merged.status);
      }
    });
  };
  return callbacks;
}

PredictRun::Callbacks PredictStreamCall::MakeCallbacks(TimePoint arrival) {
  PredictRun::Callbacks callbacks;
  callbacks.admit = [this](InferResponse* response) { Admit(response); };
  callbacks.result = [this, arrival](const MergedResult& result) {
    call().Post([this, message = EncodeStreamResult(result, arrival)] { Send(message); });
  };
  callbacks.merged = [this](MergedPredict merged) {
    call().Post([this, merged = std::move(merged)]() mutable {
      AdmitCombined(&merged);
      if (merged.status.ok()) Send(EncodeStreamMerged(merged));
      End(merged.status);
    });
  };
  return callbacks;
}

void PredictStreamCall::Send(grpc::ByteBuffer message) {
  messages_.push_back(std::move(message));
  Proceed();
}

void PredictStreamCall::End(absl::Status status) {
  status_ = std::move(status);
  Proceed();
}

void PredictStreamCall::OnWritten(bool ok) {
  writing_ = false;
  messages_.pop_front();
  // The client cannot be written to any more.
  if (!ok) messages_.clear();
  Proceed();
}

void PredictStreamCall::Proceed() {
  if (writing_) return;
  if (!messages_.empty()) {
    writing_ = true;
    call().Write(messages_.front());
  } else if (status_.has_value()) {
    call().Finish(*status_);
  }
}

}  // namespace tandem::server
