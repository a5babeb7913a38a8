// One ModelStreamInfer call: requests are run as they come, and each is answered when it is done,
// in no set order; the request's id tells which. Lives from its making until gRPC is done with the
// call, and deletes itself then.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "inference.pb.h"
#include "router/router.h"

namespace tandem::server {

class InferStream : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Both outlive the call.
  InferStream(const Clock& clock, Router& router, TimePoint deadline, uint64_t client);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void Submit(const grpc::ByteBuffer& bytes);
  void Send(const inference::ModelStreamInferResponse& message);
  // Reads the next request where there is room and writes the next answer. True, once, when all is
  // done: the caller then ends the call, without the lock, because the call may delete itself at
  // once.
  [[nodiscard]] bool Proceed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  Router& router_;
  const TimePoint deadline_;
  // As InferRequest::client.
  const uint64_t client_;
  // Shared with the router, which may look at it after the call has ended.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  grpc::ByteBuffer request_;

  absl::Mutex mutex_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // The client sends no more, or cannot be written to.
  bool reads_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  // Requests that were read and whose answer is not yet sent.
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  // The first is being written while writing_.
  std::deque<grpc::ByteBuffer> answers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem::server
