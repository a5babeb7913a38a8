#include "simulation/baselines.h"

#include <algorithm>
#include <deque>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "simulation/service_times.h"

namespace tandem::simulation {
namespace {

constexpr Baseline kAll[] = {Baseline::kGpuOnly, Baseline::kStaticSplit, Baseline::kShortestQueue,
                             Baseline::kFirstIdle, Baseline::kEarliestFinish};

bool IsGpu(const SimulatedPool& pool) { return pool.kind == PoolKind::kGpu; }

struct Lane {
  size_t pool = 0;
  // The line that it takes from.
  size_t line = 0;
  std::vector<const Arrival*> running;
  TimePoint idle_since = kTraceStart;
  // When all that it runs and that waits for it alone would have ended, one by one.
  TimePoint busy_until = kTraceStart;
};

struct BatchEnd {
  TimePoint at;
  size_t lane;

  bool operator<(const BatchEnd& other) const { return at > other.at; }
};

// Lines of requests, and lanes that each take from one of them.
class Lines {
 public:
  Lines(const Scenario& scenario, const ArrivalTrace& trace, Baseline baseline)
      : scenario_(scenario),
        trace_(trace),
        baseline_(baseline),
        times_(scenario),
        recorder_(scenario),
        random_(scenario.seed + 2) {
    const PoolKind only = std::any_of(scenario.pools.begin(), scenario.pools.end(), IsGpu)
                              ? PoolKind::kGpu
                              : PoolKind::kCpu;
    for (size_t pool = 0; pool < scenario.pools.size(); ++pool) {
      shares_.push_back(BestLaneRate(scenario, scenario.pools[pool]) * scenario.pools[pool].lanes);
      if (baseline == Baseline::kGpuOnly && scenario.pools[pool].kind != only) continue;
      for (uint32_t i = 0; i < scenario.pools[pool].lanes; ++i) {
        lanes_.push_back({pool, LineOf(pool, lanes_.size()), {}});
      }
    }
    lines_.resize(lanes_.size());
    split_ = std::discrete_distribution<size_t>(shares_.begin(), shares_.end());
  }

  Outcome Run() && {
    for (const Arrival& arrival : trace_) {
      EndBatchesUntil(arrival.at);
      const size_t line = Choose(arrival);
      lines_[line].push_back(&arrival);
      Serve(line, arrival.at);
    }
    EndBatchesUntil(kNever);
    return std::move(recorder_).Finish(std::string(NameOf(baseline_)), trace_);
  }

 private:
  size_t LineOf(size_t pool, size_t lane) const {
    switch (baseline_) {
      case Baseline::kStaticSplit:
        return pool;
      case Baseline::kShortestQueue:
      case Baseline::kEarliestFinish:
        return lane;
      case Baseline::kGpuOnly:
      case Baseline::kFirstIdle:
        break;
    }
    return 0;
  }

  size_t Choose(const Arrival& arrival) {
    switch (baseline_) {
      case Baseline::kStaticSplit:
        return split_(random_);
      case Baseline::kShortestQueue: {
        const auto load = [&](const Lane& lane) {
          return lines_[lane.line].size() + lane.running.size();
        };
        return std::min_element(lanes_.begin(), lanes_.end(),
                                [&](const Lane& a, const Lane& b) { return load(a) < load(b); })
            ->line;
      }
      case Baseline::kEarliestFinish: {
        const auto finish = [&](const Lane& lane) {
          return std::max(lane.busy_until, arrival.at) + scenario_.pools[lane.pool].TimeOf(1);
        };
        const auto first =
            std::min_element(lanes_.begin(), lanes_.end(),
                             [&](const Lane& a, const Lane& b) { return finish(a) < finish(b); });
        first->busy_until = finish(*first);
        return first->line;
      }
      case Baseline::kGpuOnly:
      case Baseline::kFirstIdle:
        break;
    }
    return 0;
  }

  void EndBatchesUntil(TimePoint until) {
    while (!ends_.empty() && ends_.top().at <= until) {
      const BatchEnd end = ends_.top();
      ends_.pop();
      Lane& lane = lanes_[end.lane];
      for (const Arrival* done : lane.running) {
        recorder_.Answered(done->at, done->deadline, end.at);
      }
      lane.running.clear();
      lane.idle_since = end.at;
      Serve(lane.line, end.at);
    }
  }

  void Serve(size_t line, TimePoint now) {
    while (!lines_[line].empty()) {
      Lane* idle = nullptr;
      for (Lane& lane : lanes_) {
        if (lane.line != line || !lane.running.empty()) continue;
        if (idle == nullptr || lane.idle_since < idle->idle_since) idle = &lane;
      }
      if (idle == nullptr) return;
      Start(*idle, now);
    }
  }

  void Start(Lane& lane, TimePoint now) {
    const bool batches = baseline_ != Baseline::kEarliestFinish;
    const auto most = static_cast<size_t>(batches ? scenario_.max_batch_size : 1);
    std::deque<const Arrival*>& line = lines_[lane.line];
    while (!line.empty() && lane.running.size() < most) {
      if (line.front()->deadline > now) {
        lane.running.push_back(line.front());
      } else if (!batches) {
        // Nobody waits for it any more.
        lane.busy_until -= scenario_.pools[lane.pool].TimeOf(1);
      }
      line.pop_front();
    }
    if (lane.running.empty()) return;
    const Duration time = times_.Draw(lane.pool, static_cast<int64_t>(lane.running.size()));
    if (!batches) lane.busy_until += time - scenario_.pools[lane.pool].TimeOf(1);
    recorder_.Ran(lane.pool, time);
    ends_.push({now + time, static_cast<size_t>(&lane - lanes_.data())});
  }

  const Scenario& scenario_;
  const ArrivalTrace& trace_;
  const Baseline baseline_;
  ServiceTimes times_;
  OutcomeRecorder recorder_;
  std::mt19937_64 random_;
  std::vector<double> shares_;
  std::discrete_distribution<size_t> split_;
  std::vector<Lane> lanes_;
  std::vector<std::deque<const Arrival*>> lines_;
  std::priority_queue<BatchEnd> ends_;
};

}  // namespace

absl::Span<const Baseline> Baselines() { return kAll; }

std::string_view NameOf(Baseline baseline) {
  switch (baseline) {
    case Baseline::kGpuOnly:
      return "gpu_only";
    case Baseline::kStaticSplit:
      return "static_split";
    case Baseline::kShortestQueue:
      return "shortest_queue";
    case Baseline::kFirstIdle:
      return "first_idle";
    case Baseline::kEarliestFinish:
      return "earliest_finish";
  }
  return "";
}

Outcome SimulateBaseline(const Scenario& scenario, const ArrivalTrace& trace, Baseline baseline) {
  return Lines(scenario, trace, baseline).Run();
}

}  // namespace tandem::simulation
