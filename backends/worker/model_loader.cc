#include "backends/worker/model_loader.h"

#include <malloc.h>
#include <pthread.h>

#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/ipc/control_channel.h"
#include "backends/worker/halving_executor.h"
#include "backends/worker/model_messages.h"
#include "backends/worker/niceness.h"

namespace tandem::worker {
namespace {

std::string PlatformNames(const Runtimes& runtimes) {
  std::string names;
  for (const auto& [platform, runtime] : runtimes.by_platform) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", platform);
  }
  return names;
}

}  // namespace

ModelLoader::ModelLoader(Runtimes& runtimes, ModelTable& models, uint32_t lanes, uint32_t threads,
                         uint32_t nice, std::function<void(const v1::FromWorker&)> answer)
    : runtimes_(runtimes),
      models_(models),
      lanes_(lanes),
      threads_(threads),
      nice_(nice),
      answer_(std::move(answer)),
      thread_([this] { Loop(); }) {}

ModelLoader::~ModelLoader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ModelLoader::Load(v1::LoadModel message, std::vector<ipc::UniqueFd> files) {
  Add(LoadJob{std::move(message), std::move(files)});
}

void ModelLoader::Unload(uint32_t handle) { Add(UnloadJob{handle}); }

void ModelLoader::Add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void ModelLoader::Loop() {
  pthread_setname_np(pthread_self(), "loader");
  MakeThreadNice(nice_);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    std::visit([this](const auto& each) { Do(each); }, job);
    lock.lock();
  }
}

void ModelLoader::Do(const LoadJob& job) {
  const uint32_t handle = job.message.handle();
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<std::unique_ptr<Executor>> executor = LoadExecutor(job);
  if (!executor.ok()) {
    answer_(FailedMessage(handle, std::string(executor.status().message())));
    return;
  }
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
  // Made before the table owns the executor: from then on another thread may unload it.
  v1::FromWorker loaded =
      LoadedMessage(handle, (*executor)->signature(), static_cast<uint64_t>(took.count()));
  for (const TimedRun& run : (*executor)->warm_up_runs()) {
    v1::WarmUpRun* told = loaded.mutable_model_loaded()->add_warm_up_runs();
    told->set_rows(run.rows);
    told->set_ns(static_cast<uint64_t>(run.time.count()));
  }
  for (std::string& note : (*executor)->notes()) {
    loaded.mutable_model_loaded()->add_notes(std::move(note));
  }
  if (loaded.ByteSizeLong() > ipc::kMaxControlBytes) {
    answer_(FailedMessage(handle, "the model has more inputs and outputs than can be told"));
    return;
  }
  models_.Add(handle, *std::move(executor));
  answer_(loaded);
  // What only the load and the runs that warmed the model up took. Nobody waits for this.
  malloc_trim(0);
}

absl::StatusOr<std::unique_ptr<Executor>> ModelLoader::LoadExecutor(const LoadJob& job) {
  if (models_.Contains(job.message.handle())) {
    return absl::AlreadyExistsError(
        absl::StrCat("another model already has the handle ", job.message.handle()));
  }
  const auto runtime = runtimes_.by_platform.find(job.message.platform());
  if (runtime == runtimes_.by_platform.end()) {
    return absl::InvalidArgumentError(absl::StrCat("platform \"", job.message.platform(),
                                                   "\" is not one that this worker runs (",
                                                   PlatformNames(runtimes_), ")"));
  }
  absl::StatusOr<ModelSpec> spec = SpecFromMessage(job.message, lanes_, threads_);
  if (!spec.ok()) return spec.status();
  if (absl::Status status = SetFiles(job.message, job.files, *spec); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Executor>> executor = runtime->second->Load(*spec);
  if (!executor.ok() || spec->max_batch_size < 2 || !(*executor)->keeps_inputs()) return executor;
  return std::make_unique<HalvingExecutor>(*std::move(executor));
}

void ModelLoader::Do(const UnloadJob& job) {
  models_.Remove(job.handle);
  // The allocator would keep the weights' memory for later; the machine's other processes want it
  // now.
  malloc_trim(0);
  v1::FromWorker message;
  message.mutable_model_unloaded()->set_handle(job.handle);
  answer_(message);
}

}  // namespace tandem::worker
