#include "server/http_task_queue.h"

#include <pthread.h>

#include <iterator>
#include <system_error>
#include <utility>

namespace tandem::server {

HttpTaskQueue::HttpTaskQueue(size_t least, size_t most, OnCrowd on_crowd)
    : least_(least), most_(most), on_crowd_(std::move(on_crowd)) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < least_; ++i) StartThread();
}

void HttpTaskQueue::enqueue(std::function<void()> job) {
  Threads ended;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    if (jobs_.size() > threads_.size() - busy_ && !StartThread()) {
      crowded_ = true;
      if (on_crowd_) on_crowd_(jobs_.size());
    }
    ended.swap(ended_);
  }
  changed_.notify_one();
  for (std::thread& thread : ended) thread.join();
}

void HttpTaskQueue::shutdown(Duration patience, const std::function<void()>& on_late) {
  Threads ended;
  {
    std::unique_lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
    const auto done = [this] { return threads_.empty(); };
    if (!changed_.wait_for(lock, patience, done)) {
      lock.unlock();
      on_late();
      lock.lock();
      changed_.wait(lock, done);
    }
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) thread.join();
}

size_t HttpTaskQueue::threads() const {
  const std::lock_guard lock(mutex_);
  return threads_.size();
}

bool HttpTaskQueue::StartThread() {
  if (threads_.size() >= most_) return false;
  threads_.emplace_back();
  const auto self = std::prev(threads_.end());
  try {
    *self = std::thread([this, self] { Run(self); });
  } catch (const std::system_error&) {
    threads_.erase(self);
    return false;
  }
  return true;
}

void HttpTaskQueue::Run(Threads::iterator self) {
  pthread_setname_np(pthread_self(), "http");
  std::unique_lock lock(mutex_);
  while (true) {
    while (!jobs_.empty()) {
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      if (crowded_ && on_crowd_) on_crowd_(jobs_.size());
      crowded_ = crowded_ && !jobs_.empty();
      ++busy_;
      lock.unlock();
      job();
      lock.lock();
      --busy_;
    }
    // Also one that was started for a job that another has done meanwhile.
    if (ending_ || threads_.size() > least_) break;
    changed_.wait(lock, [this] { return !jobs_.empty() || ending_; });
  }
  ended_.splice(ended_.end(), threads_, self);
  changed_.notify_all();
}

}  // namespace tandem::server
