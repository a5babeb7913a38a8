#include "backends/pool/pool.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/ipc/region_layout.h"
#include "backends/pool/supervisor.h"

namespace tandem {
namespace {

absl::Status CheckOptions(const PoolOptions& options) {
  if (options.processes == 0 || options.threads == 0 || options.lanes == 0 ||
      options.lanes > ipc::kMaxLanes) {
    return absl::InvalidArgumentError(
        absl::StrCat("pool ", options.name,
                     ": processes and threads must be at least 1, lanes 1 to ", ipc::kMaxLanes));
  }
  if (options.express_lanes >= options.lanes) {
    return absl::InvalidArgumentError(
        absl::StrCat("pool ", options.name, ": of ", options.lanes, " lanes ",
                     options.express_lanes, " are express lanes; at least one must be another"));
  }
  if (access(options.program.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("pool ", options.name, ": there is no worker program ", options.program));
  }
  return absl::OkStatus();
}

}  // namespace

class Pool::Impl {
 public:
  Impl(PoolOptions given, uint32_t index, BackendEvents& events, LogSink sink)
      : options(std::move(given)), log(std::move(sink)), supervisor(options, index, events, log) {}

  const PoolOptions options;
  const LogSink log;
  Supervisor supervisor;
};

Pool::Pool(PoolOptions options, uint32_t index, BackendEvents& events, LogSink log)
    : impl_(std::make_unique<Impl>(std::move(options), index, events, std::move(log))) {}

Pool::~Pool() { Stop(Duration(0)); }

absl::Status Pool::Start() {
  absl::Status status = CheckOptions(impl_->options);
  if (status.ok()) status = impl_->supervisor.Start();
  if (!status.ok()) impl_->supervisor.Stop(Duration(0));
  return status;
}

void Pool::Stop(Duration grace) { impl_->supervisor.Stop(grace); }

std::vector<WorkerStatus> Pool::Status() const {
  std::vector<WorkerStatus> all;
  for (uint32_t i = 0; i < impl_->options.processes; ++i)
    all.push_back(impl_->supervisor.worker(i).Status());
  return all;
}

std::string_view Pool::name() const { return impl_->options.name; }
PoolKind Pool::kind() const { return impl_->options.kind; }
std::string_view Pool::device() const { return impl_->options.device; }
uint32_t Pool::lane_count() const { return impl_->options.processes * impl_->options.lanes; }

bool Pool::is_express(uint32_t lane) const {
  const PoolOptions& options = impl_->options;
  return lane % options.lanes >= options.lanes - options.express_lanes;
}

std::string_view Pool::worker_name(uint32_t lane) const {
  return impl_->supervisor.worker(lane / impl_->options.lanes).name();
}

void Pool::Load(std::shared_ptr<const ModelVersion> model) {
  impl_->supervisor.Load(std::move(model));
}

void Pool::Unload(uint32_t model_handle) { impl_->supervisor.Unload(model_handle); }

absl::Status Pool::Run(uint32_t lane, const Batch& batch) {
  return impl_->supervisor.worker(lane / impl_->options.lanes)
      .Run(lane % impl_->options.lanes, batch);
}

Ended Pool::TakeEnded() {
  Ended found = Ended::kNothing;
  for (uint32_t i = 0; i < impl_->options.processes; ++i)
    found = std::max(found, impl_->supervisor.worker(i).TakeEnded());
  return found;
}

void Pool::StopTaking() {
  for (uint32_t i = 0; i < impl_->options.processes; ++i) impl_->supervisor.worker(i).StopTaking();
}

void Pool::WatchBatch(uint32_t lane, uint64_t batch_id) {
  impl_->supervisor.worker(lane / impl_->options.lanes)
      .WatchBatch(lane % impl_->options.lanes, batch_id);
}

void Pool::EndIfItHangs(uint32_t lane, uint64_t batch_id, const Overrun& overrun,
                        std::string reason) {
  impl_->supervisor.worker(lane / impl_->options.lanes)
      .EndIfItHangs(lane % impl_->options.lanes, batch_id, overrun, std::move(reason));
}

void Pool::ExplainDeath(uint32_t lane) {
  impl_->supervisor.worker(lane / impl_->options.lanes).ExplainDeath();
}

}  // namespace tandem
