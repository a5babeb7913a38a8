#include "server/call_queue.h"

#include <grpc/support/time.h>
#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

// What comes together is seen together, but for so long and so much of it at most: others wait.
constexpr Duration kLongestBurst = std::chrono::microseconds(100);
constexpr int kMostEventsOfBurst = 32;

constexpr int kLooksAtEnds = 16;

// So many times without a second call in between, and calls are taken to come one by one.
constexpr int kCompany = 64;

TimePoint Now() { return std::chrono::steady_clock::now(); }

}  // namespace

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
  while (true) {
    if (BurstGoesOn()) {
      if (const std::optional<bool> found = Look(event, ok)) {
        EndLooks();
        return *found;
      }
    }
    burst_events_ = 0;
    SubmitGathered();
    const Ended ended = TakeEnded();
    if (RunPosted() || ended == Ended::kSome) {
      looks_since_.reset();
      continue;
    }
    if (GoesOnLooking(ended)) continue;
    const bool found = Sleep(event, ok);
    EndLooks();
    return found;
  }
}

Ended CallQueue::TakeEnded() {
  Ended ended = Ended::kNothing;
  if (router_ == nullptr) return ended;
  // A look at what has ended only reads memory; one for events asks the kernel.
  int looks = looks_since_.has_value() ? kLooksAtEnds : 1;
  do {
    ended = router_->TakeEnded();
  } while (ended == Ended::kSoon && --looks > 0);
  takes_ends_ |= ended != Ended::kNothing;
  return ended;
}

// Gives the core away for a moment. False: it should sleep.
bool CallQueue::GoesOnLooking(Ended ended) {
  if (router_ == nullptr || router_->HasLongBatch()) return false;
  const TimePoint now = Now();
  looks_for_request_ = ended == Ended::kNothing;
  if (!looks_since_.has_value()) {
    looks_since_ = now;
    if (looks_for_request_ && company_ > 0) --company_;
  }
  // A lone client has one core for itself and a lane that looks on the other: to be woken is no
  // slower then.
  if (looks_for_request_ && company_ == 0) return false;
  AdaptiveSpin& spin = looks_for_request_ ? request_spin_ : end_spin_;
  if (now - *looks_since_ >= spin.budget(now)) return false;
  sched_yield();
  return spin.OnYield(now, Now());
}

void CallQueue::EndLooks() {
  if (looks_since_.has_value() && looks_for_request_) request_spin_.Observe(Now() - *looks_since_);
  looks_since_.reset();
}

// Whether events that have come are seen before anything else is done.
bool CallQueue::BurstGoesOn() {
  const TimePoint now = Now();
  if (burst_events_ == 0) burst_until_ = now + kLongestBurst;
  return burst_events_++ < kMostEventsOfBurst && now < burst_until_;
}

void CallQueue::Submit(std::unique_ptr<InferRequest> request, ResponseCallback done) {
  gathered_.push_back({std::move(request), std::move(done)});
  if (expected_.load(std::memory_order_relaxed) > 1) {
    company_ = kCompany;
  } else {
    // A lane that has nothing to do is not to wait.
    SubmitGathered();
  }
}

void CallQueue::SubmitGathered() {
  if (gathered_.empty()) return;
  router_->Submit(std::exchange(gathered_, {}));
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
  if (--owed_ == 0 && paid_ != nullptr) std::exchange(paid_, nullptr)->set_value();
}

// By the steady clock: Abseil's waits would last as long as the wall clock is set back.
void CallQueue::AwaitPaid(TimePoint until) {
  const auto paid = std::make_shared<std::promise<void>>();
  Post([this, paid] {
    if (owed_ == 0) return paid->set_value();
    paid_ = paid;
  });
  paid->get_future().wait_until(until);
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
