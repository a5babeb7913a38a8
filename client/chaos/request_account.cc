#include "client/chaos/request_account.h"

namespace tandem::client {

uint64_t RequestAccount::Send(Time due) {
  const std::lock_guard lock(mutex_);
  const uint64_t number = ledger_.Send(phase_);
  due_.emplace(number, due);
  return number;
}

void RequestAccount::Enter(ChaosPhase phase) {
  const std::lock_guard lock(mutex_);
  phase_ = phase;
}

void RequestAccount::OnReply(const EchoRequest& request,
                             const inference::ModelInferResponse& reply) {
  // What has a model misbehave is never answered well.
  const bool right = !request.poisoned && IsReplyTo(request, reply);
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  const std::chrono::nanoseconds latency = TakeLatency(request.number);
  right ? ledger_.OnRight(request.number, latency) : ledger_.OnWrong(request.number);
  if (ledger_.open() == 0) answered_.notify_all();
}

void RequestAccount::OnError(uint64_t number, const std::string& code) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  TakeLatency(number);
  ledger_.OnError(number, code);
  if (ledger_.open() == 0) answered_.notify_all();
}

bool RequestAccount::IsOpen(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  return ledger_.IsOpen(number);
}

void RequestAccount::WaitForAnswers(std::chrono::nanoseconds patience) const {
  std::unique_lock lock(mutex_);
  answered_.wait_for(lock, patience, [this] { return ledger_.open() == 0; });
}

void RequestAccount::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

RequestLedger RequestAccount::ledger() const {
  const std::lock_guard lock(mutex_);
  return ledger_;
}

std::chrono::nanoseconds RequestAccount::TakeLatency(uint64_t number) {
  const auto due = due_.find(number);
  if (due == due_.end()) return std::chrono::nanoseconds(0);
  const std::chrono::nanoseconds latency = std::chrono::steady_clock::now() - due->second;
  due_.erase(due);
  return latency;
}

}  // namespace tandem::client
