#include "server/call_queue.h"

#include <grpc/support/time.h>
#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem::server {

CallQueue::CallQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue, size_t number)
    : queue_(std::move(queue)), number_(number) {}

CallQueue::~CallQueue() = default;

void CallQueue::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void CallQueue::Loop() {
  pthread_setname_np(pthread_self(), absl::StrCat("grpc-", number_).c_str());
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<Event*>(tag)->OnEvent(ok);
}

void CallQueue::Post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    if (std::exchange(woken_, true)) return;
  }
  alarm_.Set(queue_.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), &wake_);
}

void CallQueue::Wake::OnEvent(bool) { queue_.RunPosted(); }

void CallQueue::RunPosted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
    woken_ = false;
  }
  for (Task& task : tasks) task();
}

void CallQueue::Enter(Member& call) { call.place_ = calls_.insert(calls_.end(), &call); }

void CallQueue::Leave(Member& call) {
  calls_.erase(call.place_);
  EndIfIdle();
}

void CallQueue::OnPaid() {
  if (--owed_ == 0 && paid_ != nullptr) std::exchange(paid_, nullptr)->Notify();
}

void CallQueue::AwaitPaid(absl::Time until) {
  const auto paid = std::make_shared<absl::Notification>();
  Post([this, paid] {
    if (owed_ == 0) return paid->Notify();
    paid_ = paid;
  });
  paid->WaitForNotificationWithDeadline(until);
}

void CallQueue::Drain() {
  Post([this] {
    draining_ = true;
    for (Member* const call : calls_) call->OnDrain();
  });
}

void CallQueue::Stop() {
  Post([this] {
    stopping_ = true;
    EndIfIdle();
  });
  thread_.join();
}

void CallQueue::EndIfIdle() {
  // Nothing may be begun on the queue after that, and only calls begin something.
  if (stopping_ && calls_.empty()) queue_->Shutdown();
}

}  // namespace tandem::server
