// The threads of an HTTP port. A client that stops in the middle of its request keeps a thread
// until its time is over, so there are as many threads as there are such clients, up to a bound;
// what exceeds the few that stay ends as soon as nothing waits. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "core/clock.h"

namespace tandem::server {

class HttpTaskQueue {
 public:
  // Told how many jobs wait when all threads are taken, and each time until none does; on any
  // thread, with the queue locked.
  using OnCrowd = std::function<void(size_t waiting)>;

  // `least` threads are always there, and at most `most` at a time.
  HttpTaskQueue(size_t least, size_t most, OnCrowd on_crowd = nullptr);
  // shutdown() has been called.
  ~HttpTaskQueue() = default;
  HttpTaskQueue(const HttpTaskQueue&) = delete;
  HttpTaskQueue& operator=(const HttpTaskQueue&) = delete;

  void enqueue(std::function<void()> job);
  // Returns when all that was enqueued is done. Calls `on_late` once where that takes longer than
  // the patience.
  void shutdown(Duration patience, const std::function<void()>& on_late);

  size_t threads() const;

 private:
  using Threads = std::list<std::thread>;

  // With mutex_ held. False: there may be no more, or the system has none left; the job waits for
  // one that is there.
  bool StartThread();
  void Run(Threads::iterator self);

  const size_t least_;
  const size_t most_;
  const OnCrowd on_crowd_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // All guarded by mutex_.
  std::deque<std::function<void()>> jobs_;
  Threads threads_;
  // To be joined.
  Threads ended_;
  // Threads that do a job; the others take what waits, also those that have only been started.
  size_t busy_ = 0;
  bool crowded_ = false;
  bool ending_ = false;
};

}  // namespace tandem::server
