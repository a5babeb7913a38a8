#include "backends/worker/nicer_thread.h"

#include <pthread.h>

#include "backends/worker/niceness.h"

namespace tandem::worker {

NicerThread::NicerThread(const std::string& name, uint32_t nice)
    : thread_([this, name, nice] { Loop(name, nice); }) {}

NicerThread::~NicerThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void NicerThread::Run(absl::FunctionRef<void()> task) {
  std::unique_lock lock(mutex_);
  task_.emplace(task);
  changed_.notify_all();
  changed_.wait(lock, [this] { return !task_.has_value(); });
}

void NicerThread::Loop(const std::string& name, uint32_t nice) {
  pthread_setname_np(pthread_self(), name.c_str());
  MakeThreadNice(nice);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return task_.has_value() || stopping_; });
    if (!task_.has_value()) return;
    const absl::FunctionRef<void()> task = *task_;
    lock.unlock();
    task();
    lock.lock();
    task_.reset();
    changed_.notify_all();
  }
}

}  // namespace tandem::worker
