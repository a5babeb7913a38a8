// The two forms of a Predict call on gRPC. Each lives from its making until gRPC is done with the
// call, and deletes itself then.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/predict_run.h"

namespace tandem::server {

// Answers once.
class PredictCall : public grpc::ServerUnaryReactor {
 public:
  PredictCall(grpc::CallbackServerContext& context, grpc::ByteBuffer* response)
      : context_(context), response_(response) {}

  // `deadline` is of the whole call.
  void Start(const Clock& clock, Router& router, DecodedPredict request, TimePoint arrival,
             TimePoint deadline);

  void OnCancel() override;
  void OnDone() override;

 private:
  // gRPC's, as the response is.
  grpc::CallbackServerContext& context_;
  grpc::ByteBuffer* const response_;
  absl::Mutex mutex_;
  // Shared with the router's callbacks.
  std::shared_ptr<PredictRun> run_ ABSL_GUARDED_BY(mutex_);
};

// Answers with each result as it arrives, then with the merged reply.
class PredictStreamCall : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  explicit PredictStreamCall(grpc::CallbackServerContext& context) : context_(context) {}

  void Start(const Clock& clock, Router& router, DecodedPredict request, TimePoint arrival,
             TimePoint deadline);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void Send(grpc::ByteBuffer message);
  void End(const grpc::Status& status);
  // Writes the next message. True, once, when all is done: the caller then ends the call, without
  // the lock.
  [[nodiscard]] bool Proceed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // gRPC's.
  grpc::CallbackServerContext& context_;
  absl::Mutex mutex_;
  // Shared with the router's callbacks.
  std::shared_ptr<PredictRun> run_ ABSL_GUARDED_BY(mutex_);
  // The first is being written while writing_.
  std::deque<grpc::ByteBuffer> messages_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem::server
