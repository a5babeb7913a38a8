#include "server/call_queue.h"

#include <grpc/support/time.h>
#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem::server {

CallQueue::CallQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue, size_t number,
                     Router* router)
    : queue_(std::move(queue)), number_(number), router_(router) {}

CallQueue::~CallQueue() = default;

void CallQueue::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void CallQueue::Loop() {
  pthread_setname_np(pthread_self(), absl::StrCat("grpc-", number_).c_str());
  Event* event = nullptr;
  bool ok = false;
  while (Await(event, ok)) event->OnEvent(ok);
  StopTaking();
}

bool CallQueue::Await(Event*& event, bool& ok) {
  bool has_looked = false;
  while (true) {
    const Ended ended = router_ == nullptr ? Ended::kNothing : router_->TakeEnded();
    takes_ends_ |= ended != Ended::kNothing;
    const bool is_news = RunPosted() || ended == Ended::kSome;
    if (!is_news && (ended == Ended::kNothing || has_looked)) return Sleep(event, ok);
    if (const std::optional<bool> found = Look(event, ok)) return *found;
    has_looked = true;
  }
}

std::optional<bool> CallQueue::Look(Event*& event, bool& ok) {
  void* tag = nullptr;
  switch (queue_->AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC))) {
    case grpc::CompletionQueue::GOT_EVENT:
      event = static_cast<Event*>(tag);
      return true;
    case grpc::CompletionQueue::SHUTDOWN:
      return false;
    case grpc::CompletionQueue::TIMEOUT:
      break;
  }
  return std::nullopt;
}

bool CallQueue::Sleep(Event*& event, bool& ok) {
  StopTaking();
  {
    const std::lock_guard lock(mutex_);
    awake_ = false;
    // What was posted since it was last looked at.
    if (!posted_.empty()) SetAlarm();
  }
  void* tag = nullptr;
  const bool found = queue_->Next(&tag, &ok);
  event = static_cast<Event*>(tag);
  const std::lock_guard lock(mutex_);
  awake_ = true;
  return found;
}

void CallQueue::StopTaking() {
  if (std::exchange(takes_ends_, false)) router_->StopTaking();
}

void CallQueue::SetAlarm() {
  if (std::exchange(alarmed_, true)) return;
  alarm_.Set(queue_.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), &wake_);
}

void CallQueue::Post(Task task) {
  // Still held when the alarm is set: else the thread, woken by something else, could run the task
  // and end the queue before.
  const std::lock_guard lock(mutex_);
  posted_.push_back(std::move(task));
  has_posted_.store(true, std::memory_order_relaxed);
  if (!awake_) SetAlarm();
}

void CallQueue::Wake::OnEvent(bool) {
  const std::lock_guard lock(queue_.mutex_);
  queue_.alarmed_ = false;
}

bool CallQueue::RunPosted() {
  if (!has_posted_.load(std::memory_order_relaxed)) return false;
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
    has_posted_.store(false, std::memory_order_relaxed);
  }
  for (Task& task : tasks) task();
  return !tasks.empty();
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
