// A thread that loads and unloads models, one after the other and in the order asked, so that the
// control socket is answered meanwhile.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>

#include "backends/ipc/unique_fd.h"
#include "backends/worker/executor.h"
#include "backends/worker/model_table.h"
#include "worker.pb.h"

namespace tandem::worker {

// Thread-safe. Borrows the runtimes and the table, which outlive it.
class ModelLoader {
 public:
  // `nice`: the loader's own niceness. `answer` sends to the server; called on the loader's thread.
  ModelLoader(Runtimes& runtimes, ModelTable& models, uint32_t lanes, uint32_t threads,
              uint32_t nice, std::function<void(const v1::FromWorker&)> answer);
  // Finishes the job at hand and drops those that wait.
  ~ModelLoader();

  // Answered with ModelLoaded or ModelFailed. `files` as the message says; empty where the platform
  // has none.
  void Load(v1::LoadModel message, std::vector<ipc::UniqueFd> files);
  // Answered with ModelUnloaded, also where the model was not there.
  void Unload(uint32_t handle);

 private:
  struct LoadJob {
    v1::LoadModel message;
    std::vector<ipc::UniqueFd> files;
  };
  struct UnloadJob {
    uint32_t handle;
  };
  using Job = std::variant<LoadJob, UnloadJob>;

  void Add(Job job);
  void Loop();
  void Do(const LoadJob& job);
  void Do(const UnloadJob& job);
  absl::StatusOr<std::unique_ptr<Executor>> LoadExecutor(const LoadJob& job);

  Runtimes& runtimes_;
  ModelTable& models_;
  const uint32_t lanes_;
  const uint32_t threads_;
  const uint32_t nice_;
  const std::function<void(const v1::FromWorker&)> answer_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Both guarded by mutex_.
  std::deque<Job> jobs_;
  bool stopping_ = false;
  // Last: the thread uses all of the above.
  std::thread thread_;
};

}  // namespace tandem::worker
