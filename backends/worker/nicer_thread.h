// A thread beside the caller's that is nicer, for work that is to give way: a thread cannot become
// less nice again, so what is nice for one batch alone runs on another one.
#pragma once

#include <cstdint>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>

#include "absl/functional/function_ref.h"

namespace tandem::worker {

// For one caller at a time.
class NicerThread {
 public:
  // `nice` as in MakeThreadGiveWay.
  NicerThread(const std::string& name, uint32_t nice);
  ~NicerThread();
  NicerThread(const NicerThread&) = delete;
  NicerThread& operator=(const NicerThread&) = delete;

  // Runs the task on the thread; returns when it is done.
  void Run(absl::FunctionRef<void()> task);

 private:
  void Loop(const std::string& name, uint32_t nice);

  // Each orders what the other side wrote before: the task, that it ran.
  std::binary_semaphore begin_{0};
  std::binary_semaphore end_{0};
  // Empty: the thread is to end.
  std::optional<absl::FunctionRef<void()>> task_;
  std::thread thread_;
};

}  // namespace tandem::worker
