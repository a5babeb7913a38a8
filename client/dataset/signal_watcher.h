// Turns the first SIGINT or SIGTERM into a call. Another one, or one that comes while no call is
// set, ends the program.
#pragma once

#include <csignal>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/base/thread_annotations.h"

namespace tandem::client {

class SignalWatcher {
 public:
  // Blocks both signals in this thread and those that it starts from now on: to be made before any
  // other thread.
  SignalWatcher();
  // Stops watching and restores the signals of this thread.
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  // `on_signal` is called once, on the watcher's thread. Null: no call any more; none is under way
  // on return.
  void Set(std::function<void()> on_signal);

 private:
  void Run();
  void OnSignal();

  sigset_t before_{};
  int signals_ = -1;
  int end_ = -1;
  std::mutex mutex_;
  std::function<void()> on_signal_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace tandem::client
