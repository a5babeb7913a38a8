// A thread that does what would keep another one, which has to be back soon, for too long: one task
// after the other. Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"

namespace tandem::server {

class TaskThread {
 public:
  using Task = absl::AnyInvocable<void() &&>;

  TaskThread() = default;
  // Does what is left first.
  ~TaskThread();
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  // Done at once, by the caller, where the system has no thread left.
  void Do(Task task);

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  // All guarded by mutex_. Started for the first task.
  std::thread thread_;
  std::deque<Task> tasks_;
  bool ending_ = false;
};

}  // namespace tandem::server
