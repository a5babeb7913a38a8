// The account of requests that many threads send and take answers of: it checks what came back and
// writes it into a ledger. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "client/chaos/echo_request.h"
#include "client/chaos/request_ledger.h"

namespace tandem::client {

class RequestAccount {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // A request that was due then: the latency counts from there. Returns its number.
  uint64_t Send(Time due);
  // Requests from now on are of that phase.
  void Enter(ChaosPhase phase);

  void OnReply(const EchoRequest& request, const inference::ModelInferResponse& reply);
  // `code` is the status code's name.
  void OnError(uint64_t number, const std::string& code);
  bool IsOpen(uint64_t number) const;

  // Returns when every request has an answer, or after `patience`.
  void WaitForAnswers(std::chrono::nanoseconds patience) const;
  // From now on what comes is no answer any more, but the end of a call that was given up.
  void Close();

  RequestLedger ledger() const;

 private:
  std::chrono::nanoseconds TakeLatency(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable std::mutex mutex_;
  mutable std::condition_variable answered_;
  ChaosPhase phase_ ABSL_GUARDED_BY(mutex_) = ChaosPhase::kQuiet;
  RequestLedger ledger_ ABSL_GUARDED_BY(mutex_);
  // Of those that are open.
  std::unordered_map<uint64_t, Time> due_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::client
