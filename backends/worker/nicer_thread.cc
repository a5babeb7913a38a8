#include "backends/worker/nicer_thread.h"

#include <pthread.h>

#include "backends/worker/niceness.h"

namespace tandem::worker {

NicerThread::NicerThread(const std::string& name, uint32_t nice)
    : thread_([this, name, nice] { Loop(name, nice); }) {}

NicerThread::~NicerThread() {
  task_.reset();
  begin_.release();
  thread_.join();
}

void NicerThread::Run(absl::FunctionRef<void()> task) {
  task_.emplace(task);
  begin_.release();
  end_.acquire();
}

void NicerThread::Loop(const std::string& name, uint32_t nice) {
  pthread_setname_np(pthread_self(), name.c_str());
  MakeThreadGiveWay(nice);
  while (true) {
    begin_.acquire();
    if (!task_.has_value()) return;
    (*task_)();
    end_.release();
  }
}

}  // namespace tandem::worker
