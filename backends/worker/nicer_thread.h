// A thread beside the caller's that is nicer, for work that is to give way: a thread cannot become
// less nice again, so what is nice for one batch alone runs on another one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/functional/function_ref.h"

namespace tandem::worker {

// For one caller at a time.
class NicerThread {
 public:
  // `nice` as in MakeThreadNice.
  NicerThread(const std::string& name, uint32_t nice);
  ~NicerThread();
  NicerThread(const NicerThread&) = delete;
  NicerThread& operator=(const NicerThread&) = delete;

  // Runs the task on the thread; returns when it is done.
  void Run(absl::FunctionRef<void()> task);

 private:
  void Loop(const std::string& name, uint32_t nice);

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::optional<absl::FunctionRef<void()>> task_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tandem::worker
