// The two forms of a Predict call.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>

#include "core/clock.h"
#include "router/router.h"
#include "server/predict_run.h"
#include "server/serving_state.h"
#include "server/task_thread.h"
#include "server/unary_responder.h"
#include "server/unsent_answers.h"

namespace tandem::server {

// What both do: the request is decoded and run.
class PredictResponder : public UnaryResponder {
 public:
  // All outlive the call.
  PredictResponder(Call& call, const Clock& clock, Router& router, const ServingState& state,
                   UnsentAnswers& unsent, TaskThread& combiner)
      : UnaryResponder(call),
        clock_(clock),
        router_(router),
        state_(state),
        unsent_(unsent),
        combiner_(combiner) {}

  void OnCancel() override;

 protected:
  // Called on any thread, as PredictRun says.
  virtual PredictRun::Callbacks MakeCallbacks(TimePoint arrival) = 0;

  // UnsentAnswers::Admit: an answer that must not be kept has that status instead. Both
  // thread-safe.
  void Admit(InferResponse* response) const;
  void AdmitCombined(MergedPredict* merged) const;

 private:
  void Answer(const grpc::ByteBuffer& request) override;
  // When the whole call must be answered.
  TimePoint Deadline(const DecodedPredict& request, TimePoint arrival);

  const Clock& clock_;
  Router& router_;
  const ServingState& state_;
  UnsentAnswers& unsent_;
  TaskThread& combiner_;
  // As InferRequest::client.
  uint64_t client_ = 0;
  // Shared with the router's callbacks.
  std::shared_ptr<PredictRun> run_;
};

// Answers once.
class PredictCall final : public PredictResponder {
 public:
  using PredictResponder::PredictResponder;

 private:
  PredictRun::Callbacks MakeCallbacks(TimePoint arrival) override;

  // Answers that are kept for the reply. For the run's callbacks alone.
  size_t admitted_ = 0;
};

// Answers with each result as it arrives, then with the merged reply.
class PredictStreamCall final : public PredictResponder {
 public:
  using PredictResponder::PredictResponder;

  void OnWritten(bool ok) override;

 private:
  PredictRun::Callbacks MakeCallbacks(TimePoint arrival) override;
  void Send(grpc::ByteBuffer message);
  void End(absl::Status status);
  // Writes the next message, and ends the call when all is done.
  void Proceed();

  // The first is being written while writing_.
  std::deque<grpc::ByteBuffer> messages_;
  bool writing_ = false;
  // What the call ends with, once that is known.
  std::optional<absl::Status> status_;
};

}  // namespace tandem::server
