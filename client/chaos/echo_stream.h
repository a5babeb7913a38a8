// One ModelStreamInfer call that carries requests of a chaos run: many at a time, answered in any
// order. Thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "client/chaos/request_account.h"
#include "inference.grpc.pb.h"

namespace tandem::client {

class EchoStream : public grpc::ClientBidiReactor<inference::ModelInferRequest,
                                                  inference::ModelStreamInferResponse> {
 public:
  // What is given outlives the stream.
  EchoStream(inference::GRPCInferenceService::Stub& stub, RequestAccount& account, uint64_t salt);
  // The stream has ended: after Cancel and WaitForEnd.
  ~EchoStream() override = default;

  // False: the stream has ended and carries no more.
  bool Send(uint64_t number);
  void Cancel() { context_.TryCancel(); }
  void WaitForEnd();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  void TakeAnswer();
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  RequestAccount& account_;
  const uint64_t salt_;
  grpc::ClientContext context_;
  inference::ModelStreamInferResponse answer_;

  std::mutex mutex_;
  std::condition_variable ended_changed_;
  // The first is being written while writing_.
  std::deque<inference::ModelInferRequest> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // Nothing more can be written.
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // Those that it carries; the answered among them are dropped at times.
  std::vector<uint64_t> sent_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem::client
