#include "backends/pool/supervisor.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/thread.h"

namespace tandem {
namespace {

TimePoint Now() { return std::chrono::steady_clock::now(); }

// Rounded up, so that the deadline has passed after the wait.
int PollTimeout(TimePoint deadline) {
  if (deadline == kNever) return -1;
  const int64_t wait = std::chrono::ceil<std::chrono::milliseconds>(deadline - Now()).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, std::numeric_limits<int>::max()));
}

}  // namespace

Supervisor::Supervisor(const PoolOptions& options, uint32_t pool, BackendEvents& events,
                       const LogSink& log)
    : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (uint32_t index = 0; index < options.processes; ++index) {
    workers_.push_back(std::make_unique<Worker>(
        Worker::Surroundings{options, events, log, trials_, [this] { Wake(); }}, pool, index));
  }
}

Supervisor::~Supervisor() { Stop(Duration(0)); }

absl::Status Supervisor::Start() {
  if (!wake_.valid()) return absl::ResourceExhaustedError("no file descriptor is left for a pool");
  {
    const std::lock_guard lock(stop_mutex_);
    if (stopped_) return absl::CancelledError("the pool was stopped before it was started");
    absl::StatusOr<std::thread> started = StartThread([this] { Watch(); });
    if (!started.ok()) return started.status();
    thread_ = *std::move(started);
  }
  std::unique_lock lock(mutex_);
  first_start_told_.wait(lock,
                         [this] { return first_starts_ == workers_.size() || !first_error_.ok(); });
  return first_error_;
}

void Supervisor::Stop(Duration grace) {
  const std::lock_guard lock(stop_mutex_);
  stopped_ = true;
  if (!thread_.joinable()) return;
  const TimePoint kill_at = Now() + grace;
  Post([kill_at](Worker& worker) { worker.Stop(kill_at); });
  thread_.join();
}

void Supervisor::Load(std::shared_ptr<const ModelVersion> model) {
  Post([model = std::move(model)](Worker& worker) { worker.Load(model); });
}

void Supervisor::Unload(uint32_t handle) {
  Post([handle](Worker& worker) { worker.Unload(handle, Now()); });
}

void Supervisor::Watch() {
  while (true) {
    RunCommands();
    const TimePoint now = Now();
    bool finished = true;
    for (const std::unique_ptr<Worker>& worker : workers_) {
      worker->Tick(now);
      finished = finished && worker->is_finished();
    }
    TellFirstStarts();
    if (finished) return;
    // What one worker has loaded, or died of, is news for the others.
    if (!trials_.TakeChange()) Wait();
  }
}

void Supervisor::Wait() {
  std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}};
  TimePoint deadline = kNever;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    for (const pollfd& part : worker->Polled()) polled.push_back(part);
    deadline = std::min(deadline, worker->NextDeadline());
  }
  poll(polled.data(), polled.size(), PollTimeout(deadline));
  uint64_t rings = 0;
  [[maybe_unused]] const ssize_t taken = read(wake_.get(), &rings, sizeof(rings));
}

void Supervisor::Post(std::function<void(Worker&)> command) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  Wake();
}

void Supervisor::RunCommands() {
  std::vector<std::function<void(Worker&)>> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (const std::function<void(Worker&)>& command : commands) {
    for (const std::unique_ptr<Worker>& worker : workers_) command(*worker);
  }
}

void Supervisor::TellFirstStarts() {
  size_t settled = 0;
  absl::Status error;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    const std::optional<absl::Status>& start = worker->first_start();
    if (!start.has_value()) continue;
    ++settled;
    if (error.ok()) error = *start;
  }
  const std::lock_guard lock(mutex_);
  first_starts_ = settled;
  if (first_error_.ok()) first_error_ = error;
  first_start_told_.notify_all();
}

void Supervisor::Wake() {
  const uint64_t ring = 1;
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &ring, sizeof(ring));
}

}  // namespace tandem
