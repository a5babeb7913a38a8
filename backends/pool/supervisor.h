// The thread that owns the lives of a pool's workers: it alone starts, greets, watches and reaps
// them. Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "backends/ipc/unique_fd.h"
#include "backends/pool/worker.h"

namespace tandem {

class Supervisor {
 public:
  // What is given outlives the supervisor. Starts nothing yet.
  Supervisor(const PoolOptions& options, uint32_t pool, BackendEvents& events, const LogSink& log);
  // Stop() has been called, or Start() has not.
  ~Supervisor();

  // As Pool::Start and Pool::Stop.
  absl::Status Start();
  void Stop(Duration grace);

  void Load(std::shared_ptr<const ModelVersion> model);
  void Unload(uint32_t handle);

  Worker& worker(uint32_t index) { return *workers_[index]; }
  const Worker& worker(uint32_t index) const { return *workers_[index]; }

 private:
  void Watch();
  void Wait();
  // Has the thread do something with each worker.
  void Post(std::function<void(Worker&)> command);
  void RunCommands();
  void TellFirstStarts();
  void Wake();

  // Readable when there is a command, or a worker to look at.
  ipc::UniqueFd wake_;
  // Of the thread alone.
  LoadTrials trials_;
  std::vector<std::unique_ptr<Worker>> workers_;

  std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<std::function<void(Worker&)>> commands_;
  size_t first_starts_ = 0;
  absl::Status first_error_;
  std::condition_variable first_start_told_;

  std::mutex stop_mutex_;
  // Both guarded by stop_mutex_.
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace tandem
