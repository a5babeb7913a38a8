// Thousands of requests in virtual time against the scheduler, with every rule checked at every
// step.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "router/scheduler.h"
#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

constexpr uint32_t kLanes = 3;

class Simulation {
 public:
  explicit Simulation(uint64_t seed) : random_(seed), scheduler_(64) {
    for (uint32_t pool = 0; pool < 2; ++pool) {
      scheduler_.AddPool(pool == 0 ? PoolKind::kCpu : PoolKind::kGpu, {0, 0, 1});
    }
    configs_.push_back(BatchingModel("both"));
    configs_[0].on_gpu = true;
    configs_.push_back(BatchingModel("delayed"));
    configs_[1].max_queue_delay = microseconds(300);
    configs_[1].preferred_batch_sizes = {2, 4};
    configs_.push_back(BatchingModel("single"));
    configs_[2].max_batch_size = 0;
    configs_[2].instances_cpu = 1;
    configs_.push_back(BatchingModel("gpu"));
    configs_[3].on_cpu = false;
    configs_[3].on_gpu = true;
    for (const ModelConfig& config : configs_) scheduler_.AddModel(*Version(config));
    for (uint32_t pool = 0; pool < 2; ++pool) {
      for (uint32_t lane = 0; lane < kLanes; ++lane) BringUp({pool, lane});
    }
  }

  void Run(int requests) {
    TimePoint next_submit = now_;
    int submitted = 0;
    while (submitted < requests || answered_.size() < static_cast<size_t>(submitted)) {
      TimePoint next = scheduler_.NextWakeup();
      if (submitted < requests) next = std::min(next, next_submit);
      if (!running_.empty()) next = std::min(next, running_.begin()->first);
      for (const auto& [at, lane] : dead_lanes_) next = std::min(next, at);
      REQUIRE(next != kNever);
      now_ = std::max(now_, next);
      scheduler_.Tick(now_, actions_);
      Perform();
      while (!running_.empty() && running_.begin()->first <= now_) EndFirst();
      while (!dead_lanes_.empty() && dead_lanes_.begin()->first <= now_) {
        const LaneId lane = dead_lanes_.begin()->second;
        dead_lanes_.erase(dead_lanes_.begin());
        BringUp(lane);
      }
      if (submitted < requests && next_submit <= now_) {
        Submit();
        ++submitted;
        next_submit = now_ + microseconds(Pick(1, 400));
        if (Pick(0, 200) == 0) KillWorker();
      }
    }
    CHECK(ran_ + refused_ == requests);
    for (uint32_t model = 0; model < configs_.size(); ++model) {
      CHECK(scheduler_.queued(model) == 0);
    }
  }

  int ran() const { return ran_; }
  int batches() const { return batches_; }
  int refused() const { return refused_; }
  int retried() const { return retried_; }

 private:
  int64_t Pick(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  void BringUp(LaneId lane) {
    scheduler_.LaneUp(lane);
    for (uint32_t model = 0; model < configs_.size(); ++model) {
      if (lane.pool == 0 ? !configs_[model].on_cpu : !configs_[model].on_gpu) continue;
      scheduler_.SetRunnable(now_, model, lane, true, actions_);
    }
    Perform();
  }

  static uint32_t WorkerOf(LaneId lane) { return lane.lane / 2; }
  bool IsDying(LaneId lane) const {
    return lane.pool == dying_pool_ && WorkerOf(lane) == dying_worker_;
  }

  // A worker that dies answers its batches first, then its lanes are down for a while.
  void KillWorker() {
    dying_pool_ = static_cast<uint32_t>(Pick(0, 1));
    dying_worker_ = static_cast<uint32_t>(Pick(0, 1));
    const bool is_dead = std::any_of(dead_lanes_.begin(), dead_lanes_.end(),
                                     [&](const auto& dead) { return IsDying(dead.second); });
    if (!is_dead) {
      const auto death = Pick(0, 1) == 0 ? WorkerDeath::kFromOutside : WorkerDeath::kFromInside;
      std::vector<ScheduledBatch*> dying;
      std::erase_if(running_, [&](const auto& running) {
        if (!IsDying(running.second->lane)) return false;
        dying.push_back(running.second);
        return true;
      });
      for (ScheduledBatch* batch : dying) Die(batch, death);
      // The ends may have given it more, which it refuses.
      Perform();
      const TimePoint back = now_ + milliseconds(Pick(1, 20));
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        if (!IsDying({dying_pool_, lane})) continue;
        scheduler_.LaneDown(now_, {dying_pool_, lane}, actions_);
        dead_lanes_.emplace(back, LaneId{dying_pool_, lane});
      }
      Perform();
    }
    dying_pool_ = 99;
  }

  void Die(ScheduledBatch* batch, WorkerDeath death) {
    batch->result.death = death;
    scheduler_.WorkerDied(now_, *batch, actions_);
    auto ended = scheduler_.BatchEnded(now_, batch->lane, batch->batch.id, false, actions_);
    REQUIRE(ended.get() == batch);
    Requests again;
    for (auto& member : ended->members) {
      if (NextAfterDeath(death, member->deaths) == AfterDeath::kRunAgain) {
        again.push_back(std::move(member));
      } else {
        ++refused_;
        Answer(*member);
      }
    }
    retried_ += static_cast<int>(again.size());
    scheduler_.RunAgain(now_, batch->model, std::move(again), actions_);
  }

  void Submit() {
    const uint32_t model = static_cast<uint32_t>(Pick(0, 3));
    auto request = configs_[model].max_batch_size == 0 ? Queued(now_, 1)
                                                       : Queued(now_, Pick(1, 3), Pick(4, 5));
    if (Pick(0, 9) == 0) request->request->deadline = now_ + microseconds(Pick(0, 1500));
    if (Pick(0, 19) == 0) {
      request->request->cancelled = std::make_shared<std::atomic<bool>>(Pick(0, 1) == 1);
    }
    if (model == 0 && Pick(0, 3) == 0) request->request->pool = PoolPreference::kGpu;
    request->bytes = ++last_;
    scheduler_.Submit(now_, model, std::move(request), actions_);
    Perform();
  }

  void Perform() {
    while (!actions_.starts.empty() || !actions_.refusals.empty()) {
      SchedulerActions actions = std::exchange(actions_, {});
      for (auto& refusal : actions.refusals) {
        ++refused_;
        Answer(*refusal.request);
        CHECK_FALSE(refusal.status.ok());
      }
      for (ScheduledBatch* batch : actions.starts) Start(batch);
    }
  }

  void Start(ScheduledBatch* batch) {
    if (IsDying(batch->lane)) {
      scheduler_.BatchNotStarted(now_, batch->lane, batch->batch.id, absl::UnavailableError("dead"),
                                 actions_);
      return;
    }
    if (Pick(0, 49) == 0) {
      scheduler_.BatchNotStarted(now_, batch->lane, batch->batch.id,
                                 absl::ResourceExhaustedError("full"), actions_);
      return;
    }
    ++batches_;
    Check(*batch);
    const Duration fixed = batch->lane.pool == 0 ? microseconds(200) : microseconds(400);
    const Duration row = batch->lane.pool == 0 ? microseconds(300) : microseconds(20);
    Duration time = fixed + row * batch->batch.rows + microseconds(Pick(0, 50));
    if (Pick(0, 99) == 0) time *= 20;
    TimePoint from = now_;
    for (const auto& [at, other] : running_) {
      if (other->lane == batch->lane) from = std::max(from, at);
    }
    running_.emplace(from + time, batch);
  }

  void Check(const ScheduledBatch& batch) {
    const ModelConfig& config = configs_[batch.model];
    int64_t rows = 0;
    for (const auto& member : batch.members) {
      rows += member->rows;
      CHECK(member->deadline() > now_);
      CHECK_FALSE(member->request->is_cancelled());
      CHECK(member->inputs[0].shape[1] == batch.members[0]->inputs[0].shape[1]);
      if (batch.lane.pool == 0) CHECK(member->request->pool != PoolPreference::kGpu);
    }
    CHECK(rows == batch.batch.rows);
    CHECK(rows <= std::max<int64_t>(1, config.max_batch_size));
    if (config.max_batch_size == 0) CHECK(batch.members.size() == 1);
    CHECK((batch.lane.pool == 0 ? config.on_cpu : config.on_gpu));
    // What may have ended its worker is by itself in this one.
    for (const auto& member : batch.members) CHECK(member->deaths.is_suspect() == batch.is_trial);
    for (const auto& [at, other] : running_) {
      if (other->lane.pool != batch.lane.pool || WorkerOf(other->lane) != WorkerOf(batch.lane)) {
        continue;
      }
      CHECK_FALSE(batch.is_trial);
      CHECK_FALSE(other->is_trial);
    }
    int on_lane = 1;
    std::set<uint32_t> lanes_of_single;
    for (const auto& [at, other] : running_) {
      if (other->lane == batch.lane) ++on_lane;
      if (other->model == 2) lanes_of_single.insert(other->lane.lane);
    }
    CHECK(on_lane <= 2);
    if (batch.model == 2) lanes_of_single.insert(batch.lane.lane);
    CHECK(lanes_of_single.size() <= 1);
    for (const auto& [at, lane] : dead_lanes_) CHECK_FALSE(lane == batch.lane);
  }

  void EndFirst() {
    ScheduledBatch* batch = running_.begin()->second;
    running_.erase(running_.begin());
    End(batch);
    Perform();
  }

  void End(ScheduledBatch* batch) {
    auto ended = scheduler_.BatchEnded(now_, batch->lane, batch->batch.id, true, actions_);
    REQUIRE(ended.get() == batch);
    for (const auto& member : ended->members) {
      ++ran_;
      Answer(*member);
    }
  }

  void Answer(const QueuedRequest& request) { CHECK(answered_.insert(request.bytes).second); }

  std::mt19937_64 random_;
  Scheduler scheduler_;
  std::vector<ModelConfig> configs_;
  TimePoint now_ = kStart;
  SchedulerActions actions_;
  std::multimap<TimePoint, ScheduledBatch*> running_;
  std::multimap<TimePoint, LaneId> dead_lanes_;
  uint32_t dying_pool_ = 99;
  uint32_t dying_worker_ = 0;
  std::set<uint64_t> answered_;
  uint64_t last_ = 0;
  int ran_ = 0;
  int refused_ = 0;
  int retried_ = 0;
  int batches_ = 0;
};

TEST_CASE("In any run each request is answered once and every batch keeps the rules",
          "[scheduler][simulation]") {
  const uint64_t seed = GENERATE(1, 2, 3, 4, 5, 6, 7, 8);
  CAPTURE(seed);
  Simulation simulation(seed);
  simulation.Run(3000);
  // The run says something: most requests ran, many of them together, and some were refused.
  CHECK(simulation.ran() > 2000);
  CHECK(simulation.batches() < simulation.ran());
  CHECK(simulation.refused() > 0);
  CHECK(simulation.retried() > 0);
}

}  // namespace
}  // namespace tandem
