// The models that the scheduler knows, and what may wait for each.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "router/scheduler.h"

namespace tandem {

Scheduler::Model::Model(const ModelVersion& model)
    : name(model.config.name),
      version(model.version),
      handle(model.handle),
      execution_timeout(model.config.execution_timeout),
      placement(model.config.placement),
      in_order(model.config.preserve_ordering),
      queue(model.config) {}

uint32_t Scheduler::AddPool(PoolKind kind, const std::vector<uint32_t>& worker_of_lane,
                            const std::vector<uint32_t>& express) {
  return lanes_.AddPool(kind, worker_of_lane, express);
}

uint32_t Scheduler::AddModel(const ModelVersion& model) {
  uint32_t number = static_cast<uint32_t>(models_.size());
  if (unused_.empty()) {
    models_.emplace_back(model);
  } else {
    number = unused_.back();
    unused_.pop_back();
    std::destroy_at(&models_[number]);
    std::construct_at(&models_[number], model);
  }
  Model& added = models_[number];
  added.seats.resize(lanes_.pool_count());
  for (uint32_t pool = 0; pool < added.seats.size(); ++pool) {
    Seat& seat = added.seats[pool];
    const uint32_t lanes = static_cast<uint32_t>(lanes_.lanes(pool).size());
    const uint32_t instances = lanes_.kind(pool) == PoolKind::kCpu ? model.config.instances_cpu
                                                                   : model.config.instances_gpu;
    seat.held = lanes_.kind(pool) == PoolKind::kCpu ? model.config.on_cpu : model.config.on_gpu;
    seat.runnable.resize(lanes);
    seat.limit = instances == 0 ? lanes : std::min(instances, lanes);
  }
  return number;
}

void Scheduler::RemoveModel(uint32_t model) {
  for (Seat& seat : models_[model].seats) {
    std::fill(seat.runnable.begin(), seat.runnable.end(), false);
    seat.runnable_lanes = 0;
    seat.held = false;
  }
  unused_.push_back(model);
}

absl::Status Scheduler::CheckRoom(const Model& model, const QueuedRequest& request) const {
  const BatchQueue& queue = model.queue;
  if (queue.empty()) return absl::OkStatus();
  if (queue.size() >= max_queue_length_ || !queue.HasRoom(request)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("model \"", model.name, "\": ", queue.size(),
                     queue.size() == 1 ? " request waits" : " requests wait",
                     " for it already, the most that may; try again later"));
  }
  if (queue.shares().bytes() + request.bytes > max_queue_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "model \"", model.name, "\": the request's ", request.bytes,
        " bytes of inputs do not fit beside the ", queue.shares().bytes(),
        " that wait for it already; at most ", max_queue_bytes_, " may; try again later"));
  }
  if (!queue.shares().MayWait(request.request->client, max_queue_length_)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("model \"", model.name, "\": ", queue.size(),
                     " requests wait for it already, and the places that are left are for clients "
                     "that have fewer there; try again later"));
  }
  return absl::OkStatus();
}

}  // namespace tandem
