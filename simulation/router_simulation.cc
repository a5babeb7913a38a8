#include "simulation/router_simulation.h"

#include <algorithm>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "router/scheduler.h"
#include "simulation/service_times.h"

namespace tandem::simulation {
namespace {

// Never full: it is the deadlines that are to decide.
constexpr uint32_t kQueueLength = 1u << 30;
// Runs of each batch size that the server warms a model up with.
constexpr int kWarmUpRuns = 3;

struct EndOfBatch {
  TimePoint at;
  LaneId lane;
  uint64_t batch;

  bool operator<(const EndOfBatch& other) const { return at > other.at; }
};

class RouterSimulation {
 public:
  RouterSimulation(const Scenario& scenario, const ArrivalTrace& trace)
      : scenario_(scenario),
        trace_(trace),
        times_(scenario),
        recorder_(scenario),
        scheduler_(kQueueLength) {
    ModelVersion model;
    model.config.name = scenario.name;
    model.config.max_batch_size = static_cast<uint32_t>(scenario.max_batch_size);
    model.config.dynamic_batching = scenario.max_batch_size > 1;
    model.config.on_cpu = model.config.on_gpu = true;
    for (const SimulatedPool& pool : scenario.pools) {
      const uint32_t number = scheduler_.AddPool(pool.kind, std::vector<uint32_t>(pool.lanes, 0));
      free_at_.emplace_back(pool.lanes, kTraceStart);
      for (uint32_t lane = 0; lane < pool.lanes; ++lane) scheduler_.LaneUp({number, lane});
    }
    model_ = scheduler_.AddModel(model);
    for (uint32_t pool = 0; pool < scenario.pools.size(); ++pool) {
      for (uint32_t lane = 0; lane < scenario.pools[pool].lanes; ++lane) {
        scheduler_.SetRunnable(kTraceStart, model_, {pool, lane}, true, actions_);
      }
      WarmUp(pool);
    }
  }

  Outcome Run() && {
    for (const Arrival& arrival : trace_) {
      RunUntil(arrival.at);
      scheduler_.Submit(arrival.at, model_, NewRequest(arrival), actions_);
      Perform(arrival.at);
    }
    RunUntil(kNever);
    return std::move(recorder_).Finish("tandem", trace_);
  }

 private:
  // What the server does when it loads a model.
  void WarmUp(uint32_t pool) {
    for (int64_t rows = 1;; rows = std::min(2 * rows, scenario_.max_batch_size)) {
      for (int i = 0; i < kWarmUpRuns; ++i) {
        scheduler_.Observe(model_, pool, rows, times_.DrawWarmUp(pool, rows));
      }
      if (rows >= scenario_.max_batch_size) return;
    }
  }

  std::unique_ptr<QueuedRequest> NewRequest(const Arrival& arrival) {
    std::unique_ptr<QueuedRequest> request;
    if (spare_.empty()) {
      request = std::make_unique<QueuedRequest>();
      request->request = std::make_unique<InferRequest>();
    } else {
      request = std::move(spare_.back());
      spare_.pop_back();
    }
    request->request->arrival = arrival.at;
    request->request->deadline = arrival.deadline;
    return request;
  }

  // All that falls due before `until`, at its time.
  void RunUntil(TimePoint until) {
    while (true) {
      const TimePoint wakeup = scheduler_.NextWakeup();
      const TimePoint end = ends_.empty() ? kNever : ends_.top().at;
      const TimePoint next = std::min(wakeup, end);
      if (next == kNever || next > until) return;
      if (end <= wakeup) {
        EndFirst();
      } else {
        scheduler_.Tick(wakeup, actions_);
      }
      Perform(next);
    }
  }

  void EndFirst() {
    const EndOfBatch end = ends_.top();
    ends_.pop();
    auto batch = scheduler_.BatchEnded(end.at, end.lane, end.batch, /*well=*/true, actions_);
    for (auto& member : batch->members) {
      recorder_.Answered(member->arrival(), member->deadline(), end.at);
      spare_.push_back(std::move(member));
    }
  }

  void Perform(TimePoint now) {
    for (auto& refusal : actions_.refusals) spare_.push_back(std::move(refusal.request));
    for (ScheduledBatch* batch : actions_.starts) {
      const LaneId lane = batch->lane;
      TimePoint& free_at = free_at_[lane.pool][lane.lane];
      const Duration time = times_.Draw(lane.pool, batch->batch.rows);
      free_at = std::max(free_at, now) + time;
      batch->result.compute_time = time;
      recorder_.Ran(lane.pool, time);
      ends_.push({free_at, lane, batch->batch.id});
    }
    actions_.refusals.clear();
    actions_.starts.clear();
  }

  const Scenario& scenario_;
  const ArrivalTrace& trace_;
  ServiceTimes times_;
  OutcomeRecorder recorder_;
  Scheduler scheduler_;
  SchedulerActions actions_;
  uint32_t model_ = 0;
  // By pool and lane: when it has run all that it was given.
  std::vector<std::vector<TimePoint>> free_at_;
  std::priority_queue<EndOfBatch> ends_;
  // Answered requests, to be used again.
  std::vector<std::unique_ptr<QueuedRequest>> spare_;
};

}  // namespace

Outcome SimulateRouter(const Scenario& scenario, const ArrivalTrace& trace) {
  return RouterSimulation(scenario, trace).Run();
}

}  // namespace tandem::simulation
