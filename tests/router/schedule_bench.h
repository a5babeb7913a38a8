// A scheduler with lanes that are all up, and time that a test turns by hand.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "router/scheduler.h"
#include "tests/router/requests.h"

namespace tandem {

class ScheduleBench {
 public:
  struct PoolSize {
    PoolKind kind;
    uint32_t lanes;
    // Of the lanes, each an equal share.
    uint32_t workers = 1;
    // The last lane is an express lane.
    bool express = false;
  };

  explicit ScheduleBench(std::vector<PoolSize> pools, uint32_t max_queue_length = 1000)
      : scheduler(max_queue_length), pools_(std::move(pools)) {
    for (const PoolSize& pool : pools_) {
      std::vector<uint32_t> workers;
      for (uint32_t lane = 0; lane < pool.lanes; ++lane) {
        workers.push_back(lane * pool.workers / pool.lanes);
      }
      const std::vector<uint32_t> express(pool.express ? 1 : 0, pool.lanes - 1);
      const uint32_t number = scheduler.AddPool(pool.kind, workers, express);
      for (uint32_t lane = 0; lane < pool.lanes; ++lane) scheduler.LaneUp({number, lane});
    }
  }

  // Adds a model that can run on all lanes of its kinds of pool.
  uint32_t Add(const ModelConfig& config) {
    const uint32_t model = scheduler.AddModel(*Version(config));
    for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
      const bool on = pools_[pool].kind == PoolKind::kCpu ? config.on_cpu : config.on_gpu;
      for (uint32_t lane = 0; on && lane < pools_[pool].lanes; ++lane) {
        scheduler.SetRunnable(now, model, {pool, lane}, true, actions);
      }
    }
    return model;
  }

  void Submit(uint32_t model, std::unique_ptr<QueuedRequest> request) {
    scheduler.Submit(now, model, std::move(request), actions);
  }
  void Submit(uint32_t model, int64_t rows = 1, PoolPreference pool = PoolPreference::kAny) {
    auto request = Queued(now, rows);
    request->request->pool = pool;
    Submit(model, std::move(request));
  }

  // The batches that were started since the last call.
  std::vector<ScheduledBatch*> Starts() { return std::exchange(actions.starts, {}); }
  // The same where it must be one.
  ScheduledBatch* Start() {
    const std::vector<ScheduledBatch*> starts = Starts();
    return starts.size() == 1 ? starts[0] : nullptr;
  }

  // `computed`: as the worker tells; zero: it does not.
  void End(const ScheduledBatch* batch, Duration computed = Duration{0}) {
    scheduler.Find(batch->lane, batch->batch.id)->result.compute_time = computed;
    scheduler.BatchEnded(now, batch->lane, batch->batch.id, true, actions);
  }

  // The batch's worker dies, and its members run again. Their lanes are down from then on.
  void Die(const ScheduledBatch* batch, WorkerDeath death) {
    const LaneId lane = batch->lane;
    const uint32_t model = batch->model;
    ScheduledBatch& dead = *scheduler.Find(lane, batch->batch.id);
    dead.result.death = death;
    scheduler.WorkerDied(now, dead, actions);
    auto ended = scheduler.BatchEnded(now, lane, batch->batch.id, false, actions);
    for (auto& member : ended->members) NextAfterDeath(death, member->deaths);
    scheduler.RunAgain(now, model, std::move(ended->members), actions);
  }

  // Brings a lane back with the model.
  void Revive(uint32_t model, LaneId lane) {
    scheduler.LaneDown(now, lane, actions);
    scheduler.LaneUp(lane);
    scheduler.SetRunnable(now, model, lane, true, actions);
  }

  // Runs single requests of the model on the kind of pool until its time is known, and what of it
  // the worker computes.
  void Teach(uint32_t model, PoolPreference pool, Duration time, Duration computed = Duration{0}) {
    for (int i = 0; i < 3; ++i) {
      Submit(model, 1, pool);
      const ScheduledBatch* batch = Start();
      now += time;
      End(batch, computed);
    }
  }

  Scheduler scheduler;
  TimePoint now = kStart;
  SchedulerActions actions;

 private:
  std::vector<PoolSize> pools_;
};

}  // namespace tandem
