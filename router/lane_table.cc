#include "router/lane_table.h"

#include <algorithm>

namespace tandem {

uint32_t LaneTable::AddPool(PoolKind kind, const std::vector<uint32_t>& worker_of_lane,
                            const std::vector<uint32_t>& express) {
  const uint32_t first_worker = static_cast<uint32_t>(workers_.size());
  Pool pool{kind, std::vector<Lane>(worker_of_lane.size()), worker_of_lane.size() - express.size()};
  for (uint32_t i = 0; i < worker_of_lane.size(); ++i) {
    pool.lanes[i].id = {static_cast<uint32_t>(pools_.size()), i};
    pool.lanes[i].worker = first_worker + worker_of_lane[i];
    workers_.resize(std::max<size_t>(workers_.size(), pool.lanes[i].worker + 1));
  }
  for (const uint32_t lane : express) {
    pool.lanes[lane].express = true;
    express_lanes_.push_back(pool.lanes[lane].id);
  }
  pools_.push_back(std::move(pool));
  return static_cast<uint32_t>(pools_.size() - 1);
}

bool LaneTable::Has(LaneId id) const {
  return id.pool < pools_.size() && id.lane < pools_[id.pool].lanes.size();
}

void LaneTable::Start(TimePoint now, std::unique_ptr<ScheduledBatch> batch) {
  Lane& lane_now = lane(batch->lane);
  Worker& worker = workers_[lane_now.worker];
  ++worker.running;
  batch->worker_ended = worker.ended;
  batch->lane_generation = lane_now.generation;
  batch->started = now;
  const TimePoint from = lane_now.batches.empty() ? now : std::max(now, lane_now.busy_until);
  lane_now.busy_until = from + batch->predicted;
  lane_now.batches.push_back(std::move(batch));
}

ScheduledBatch* LaneTable::Find(LaneId id, uint64_t batch) {
  for (const auto& running : lane(id).batches) {
    if (running->batch.id == batch) return running.get();
  }
  return nullptr;
}

std::unique_ptr<ScheduledBatch> LaneTable::TakeOut(TimePoint now, Lane& lane, uint64_t batch) {
  for (auto it = lane.batches.begin(); it != lane.batches.end(); ++it) {
    if ((*it)->batch.id != batch) continue;
    const bool was_running = it == lane.batches.begin();
    std::unique_ptr<ScheduledBatch> taken = std::move(*it);
    lane.batches.erase(it);
    --workers_[lane.worker].running;
    if (!was_running) {
      lane.busy_until -= taken->predicted;
      return taken;
    }
    lane.busy_until = now;
    for (const auto& left : lane.batches) lane.busy_until += left->predicted;
    return taken;
  }
  return nullptr;
}

std::unique_ptr<ScheduledBatch> LaneTable::End(TimePoint now, LaneId id, uint64_t batch,
                                               Duration* ran) {
  Lane& lane_now = lane(id);
  const bool was_running = !lane_now.batches.empty() && Running(lane_now)->batch.id == batch;
  std::unique_ptr<ScheduledBatch> taken = TakeOut(now, lane_now, batch);
  if (taken == nullptr) return nullptr;
  Worker& worker = workers_[lane_now.worker];
  ++worker.ended;
  worker.full = false;
  *ran = now - std::max(taken->started, lane_now.last_ended);
  // One that was refused behind another one has not had the lane.
  if (was_running) {
    lane_now.last_ended = now;
    lane_now.has_no_room_behind = false;
  }
  return taken;
}

bool LaneTable::RunsOneBatch(const Lane& lane) const {
  const std::vector<Lane>& lanes = pools_[lane.id.pool].lanes;
  return std::count_if(lanes.begin(), lanes.end(), [&](const Lane& other) {
           return other.worker == lane.worker && !other.batches.empty();
         }) == 1;
}

bool LaneTable::Refused(TimePoint now, LaneId id, uint64_t batch,
                        std::unique_ptr<ScheduledBatch>* taken) {
  Lane& lane_now = lane(id);
  const bool was_behind = !lane_now.batches.empty() && Running(lane_now)->batch.id != batch;
  *taken = TakeOut(now, lane_now, batch);
  if (*taken == nullptr) return false;
  if (was_behind) {
    lane_now.has_no_room_behind = true;
    return true;
  }
  Worker& worker = workers_[lane_now.worker];
  worker.full = worker.running > 0;
  return worker.full || worker.ended != (*taken)->worker_ended;
}

}  // namespace tandem
