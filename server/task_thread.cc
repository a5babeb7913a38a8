#include "server/task_thread.h"

#include <utility>

#include "core/thread.h"

namespace tandem::server {

TaskThread::~TaskThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void TaskThread::Do(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
      absl::StatusOr<std::thread> started = StartThread([this] { Loop(); });
      if (started.ok()) thread_ = *std::move(started);
    }
    if (thread_.joinable()) {
      tasks_.push_back(std::move(task));
      changed_.notify_one();
      return;
    }
  }
  std::move(task)();
}

void TaskThread::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    std::move(task)();
    lock.lock();
  }
}

}  // namespace tandem::server
