// Turns the first SIGINT or SIGTERM into a call. Another one, or one that comes while no call is
// set, ends the program; but not what comes with the first one: timeout(1) sends its signal to the
// program and then to the program's group.
#pragma once

#include <chrono>
#include <csignal>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"

namespace tandem::client {

class SignalWatcher {
 public:
  // Blocks both signals in this thread and those that it starts from now on: to be made before any
  // other thread.
  SignalWatcher();
  // Within so long after the first one a signal is no other one.
  static constexpr std::chrono::milliseconds kSameSignal{200};

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
  // Of the watcher's thread: when it made the call.
  std::optional<std::chrono::steady_clock::time_point> called_;
  std::thread thread_;
};

}  // namespace tandem::client
