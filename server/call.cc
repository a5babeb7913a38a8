#include "server/call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/grpc_call.h"

namespace tandem::server {
namespace {

// The most that an answer's way back to the client is reckoned with.
constexpr Duration kWayBack = std::chrono::milliseconds(10);

}  // namespace

void Call::ServeNext(CallQueue& queue, grpc::AsyncGenericService& service, const Methods& methods) {
  // Deletes itself.
  Call* const call = new Call(queue, service, methods);
  call->context_.AsyncNotifyWhenDone(&call->closed_);
  service.RequestCall(&call->context_, &call->stream_, &queue.queue(), &queue.queue(),
                      &call->arrived_);
}

Call::Call(CallQueue& queue, grpc::AsyncGenericService& service, const Methods& methods)
    : queue_(queue), service_(service), methods_(methods) {
  queue_.Enter(*this);
}

Call::~Call() { queue_.Leave(*this); }

void Call::OnArrived(bool ok) {
  if (!ok) {
    // The server shuts down. Of a call that never began gRPC tells nothing more.
    delete this;
    return;
  }
  // Until it is closed, and finished by the responder.
  uses_.store(2, std::memory_order_relaxed);
  ServeNext(queue_, service_, methods_);
  const auto method = methods_.find(context_.method());
  if (method == methods_.end()) {
    Finish(absl::UnimplementedError(absl::StrCat("there is no method ", context_.method())));
    return;
  }
  responder_ = method->second(*this);
  Read();
  if (queue_.draining()) responder_->OnDrain();
}

void Call::OnDrain() {
  if (responder_ != nullptr) responder_->OnDrain();
}

void Call::Read() {
  uses_.fetch_add(1, std::memory_order_relaxed);
  stream_.Read(&message_, &read_);
}

void Call::OnRead(bool ok) {
  if (ok) {
    if (!std::exchange(is_owed_, true)) queue_.OnOwed();
    grpc::ByteBuffer message;
    message.Swap(&message_);
    responder_->OnMessage(message);
  } else {
    responder_->OnNoMessage();
  }
  Release();
}

void Call::Write(const grpc::ByteBuffer& message) {
  uses_.fetch_add(1, std::memory_order_relaxed);
  stream_.Write(message, &written_);
}

void Call::OnWritten(bool ok) {
  responder_->OnWritten(ok);
  Release();
}

void Call::Finish(const absl::Status& status) {
  if (std::exchange(ended_, true)) return;
  stream_.Finish(EndingStatus(status, context_), &finished_);
}

void Call::Finish(const grpc::ByteBuffer& message) {
  if (std::exchange(ended_, true)) return;
  stream_.WriteAndFinish(message, grpc::WriteOptions(), grpc::Status::OK, &finished_);
}

void Call::OnFinished(bool) {
  if (std::exchange(is_owed_, false)) queue_.OnPaid();
  Release();
}

void Call::OnClosed(bool) {
  if (context_.IsCancelled() && responder_ != nullptr) responder_->OnCancel();
  Release();
}

void Call::Post(CallQueue::Task task) {
  uses_.fetch_add(1, std::memory_order_relaxed);
  queue_.Post([this, task = std::move(task)]() mutable {
    task();
    Release();
  });
}

void Call::Expect() { queue_.OnExpect(); }

void Call::Submit(std::unique_ptr<InferRequest> request, ResponseCallback done) {
  Expect();
  queue_.Submit(std::move(request), std::move(done));
}

void Call::Answer(CallQueue::Task task) {
  uses_.fetch_add(1, std::memory_order_relaxed);
  queue_.Answer([this, task = std::move(task)]() mutable {
    task();
    // It may have ended meanwhile, in all but this; and it goes on its queue's thread.
    if (uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) queue_.Post([this] { delete this; });
  });
}

void Call::Release() {
  if (uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

TimePoint Call::Deadline(TimePoint now) const {
  const TimePoint deadline = CallDeadline(context_.raw_deadline(), now);
  if (deadline == kNever) return deadline;
  return deadline - std::min<Duration>(kWayBack, (deadline - now) / 20);
}

uint64_t Call::client() const { return ClientOf(context_); }

}  // namespace tandem::server
