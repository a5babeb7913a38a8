// One of gRPC's completion queues, and the one thread that waits on it, reads from the connections
// and writes to them. What happens to the queue's calls happens on this thread: they need no locks,
// and no two threads hand the work with one connection to each other. While the thread is awake it
// also takes what the workers have ended: under load nobody has to be woken for an answer. All that
// has come is seen before the requests among it, but for those of streams, go to the router (ADR
// 16), and while short batches run it looks for their ends before it sleeps (ADR 13).
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "core/adaptive_spin.h"
#include "core/clock.h"
#include "core/infer_request.h"
#include "router/router.h"

namespace tandem::server {

class CallQueue {
 public:
  // An operation that was begun on the queue has ended. Its address is the operation's tag.
  class Event {
   public:
    virtual void OnEvent(bool ok) = 0;

   protected:
    ~Event() = default;
  };

  // A call, as its queue knows it.
  class Member {
   public:
    // The server will end, and asks the call to.
    virtual void OnDrain() = 0;

   protected:
    virtual ~Member() = default;

   private:
    friend CallQueue;
    std::list<Member*>::iterator place_;
  };

  using Task = absl::AnyInvocable<void()>;

  // `number` names the thread. `router`, whose completions it takes, outlives the queue; may be
  // null.
  CallQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue, size_t number, Router* router);
  // Stopped, or never started.
  ~CallQueue();
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  grpc::ServerCompletionQueue& queue() { return *queue_; }

  // Once the server listens.
  void Start();

  // Runs the task on the queue's thread, soon, after those that were posted before. All that were
  // posted meanwhile cost one wake. Thread-safe; for the calls of the queue alone, while they are.
  void Post(Task task);

  // A call waits for an answer from elsewhere. Thread-safe.
  void OnExpect() { expected_.fetch_add(1, std::memory_order_relaxed); }

  // The answer has come, and `give` gives it to the call. At once, on this thread, where no other
  // call waits for one or is still to be given one: that saves the time in which the queue's thread
  // would wake. Else it is posted, so that many go with one wake, in the order in which they came.
  // Thread-safe.
  template <typename Give>
  void Answer(Give give) {
    int only = 1;
    // Before it is given: the client may have its next request here meanwhile.
    if (expected_.compare_exchange_strong(only, 0, std::memory_order_relaxed)) {
      give();
      return;
    }
    Post([this, give = std::move(give)]() mutable {
      give();
      expected_.fetch_sub(1, std::memory_order_relaxed);
    });
  }

  // On the queue's thread, where there is a router: Router::Submit, together with the requests that
  // come until all that has arrived is seen, so that they can join in a batch and one wake of a
  // lane serves them all; at once where no other call waits for an answer.
  void Submit(std::unique_ptr<InferRequest> request, ResponseCallback done);

  // On the queue's thread: a call is there from now on, or has gone.
  void Enter(Member& call);
  void Leave(Member& call);

  // Asks all calls to end, those of now and those to come. After Start, before Stop.
  void Drain();
  // On the queue's thread.
  bool draining() const { return draining_; }

  // On the queue's thread: a call has brought a message, so that it is owed an answer; and it has
  // it.
  void OnOwed() { ++owed_; }
  void OnPaid();
  // Returns when no call is owed an answer, or at `until`. After Start, before Stop.
  void AwaitPaid(TimePoint until);

  // Returns when the last call has gone. After Start, and after the server has shut down: then no
  // call begins any more.
  void Stop();

 private:
  class Wake final : public Event {
   public:
    explicit Wake(CallQueue& queue) : queue_(queue) {}
    void OnEvent(bool ok) override;

   private:
    CallQueue& queue_;
  };

  void Loop();
  // The next event; false at the end of the queue.
  bool Await(Event*& event, bool& ok);
  bool BurstGoesOn();
  bool GoesOnLooking(Ended ended);
  void EndLooks();
  void SubmitGathered();
  Ended TakeEnded();
  // Without waiting for it; nothing: there is none.
  std::optional<bool> Look(Event*& event, bool& ok);
  bool Sleep(Event*& event, bool& ok);
  void StopTaking();
  // Under mutex_. Does nothing where it is set.
  void SetAlarm();
  // False where there was nothing.
  bool RunPosted();
  void EndIfIdle();

  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  const size_t number_;
  Router* const router_;
  Wake wake_{*this};
  // Set to a time that is over, it puts `wake_` into the queue at once.
  grpc::Alarm alarm_;

  std::mutex mutex_;
  // All guarded by mutex_.
  std::vector<Task> posted_;
  // The thread will look at what is posted before it sleeps.
  bool awake_ = false;
  // The alarm is set and has not come yet.
  bool alarmed_ = false;
  // Written with it; a look without it may be late, which the one before the sleep makes up for.
  std::atomic<bool> has_posted_{false};

  std::atomic<int> expected_{0};

  // Of the thread.
  std::list<Member*> calls_;
  std::vector<Router::Submission> gathered_;
  int burst_events_ = 0;
  TimePoint burst_until_{};
  // Since when it looks for what is about to come, instead of sleeping, and whether that can only
  // be a request, since nothing runs.
  std::optional<TimePoint> looks_since_;
  bool looks_for_request_ = false;
  // How long, while short batches run: not less where it was in vain, since what made it so may be
  // that it slept. And how long for a request.
  AdaptiveSpin end_spin_{std::chrono::microseconds(100)};
  AdaptiveSpin request_spin_{std::chrono::microseconds(200)};
  // Not 0: lately calls have found others there.
  int company_ = 0;
  size_t owed_ = 0;
  // To be told when none is owed.
  std::shared_ptr<std::promise<void>> paid_;
  // Nobody else is woken for what it would find.
  bool takes_ends_ = false;
  bool draining_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tandem::server
