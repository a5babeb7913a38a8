// What each lane runs and when it will be free, and what each worker behind the lanes can take. A
// state machine without clock or threads; not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "core/backend.h"
#include "core/clock.h"
#include "core/model_config.h"
#include "router/queued_request.h"

namespace tandem {

// Most batches that one lane holds: one that runs, and others that wait in its ring, which has room
// for as many.
inline constexpr size_t kLaneDepth = 16;

struct Lane {
  LaneId id;
  // Over all pools.
  uint32_t worker = 0;
  bool up = false;
  // Its worker still loads models.
  bool loading = false;
  // It is kept for short batches, while the other lanes are held by long ones.
  bool express = false;
  // Counts the lane's lives.
  uint64_t generation = 0;
  // In the order of their start.
  absl::InlinedVector<std::unique_ptr<ScheduledBatch>, kLaneDepth> batches;
  // When the last of them is predicted to end; meaningless where there are none.
  TimePoint busy_until{};
  // When one last ended.
  TimePoint last_ended{};
  // There was no room for a batch behind the one that runs: none follows before that ends.
  bool has_no_room_behind = false;
};

class LaneTable {
 public:
  // `worker_of_lane`: for each lane the number of its worker within the pool. `express`: the lanes
  // that are express lanes. Returns the number of the pool.
  uint32_t AddPool(PoolKind kind, const std::vector<uint32_t>& worker_of_lane,
                   const std::vector<uint32_t>& express = {});

  size_t pool_count() const { return pools_.size(); }
  PoolKind kind(uint32_t pool) const { return pools_[pool].kind; }
  // The lanes of a pool, by number.
  std::vector<Lane>& lanes(uint32_t pool) { return pools_[pool].lanes; }
  const std::vector<Lane>& lanes(uint32_t pool) const { return pools_[pool].lanes; }
  // How many of them are no express lanes.
  size_t plain_lanes(uint32_t pool) const { return pools_[pool].plain_lanes; }
  // Those of all pools.
  const std::vector<LaneId>& express_lanes() const { return express_lanes_; }
  // False for a number that no pool has.
  bool Has(LaneId id) const;
  Lane& lane(LaneId id) { return pools_[id.pool].lanes[id.lane]; }
  const Lane& lane(LaneId id) const { return pools_[id.pool].lanes[id.lane]; }

  // The lane is up, its worker has not said that its memory is full, and is not held.
  bool IsOpen(const Lane& lane) const {
    const Worker& worker = workers_[lane.worker];
    return lane.up && !worker.full && !worker.held;
  }

  // Keeps the lane's worker free for a batch that is to run with nothing beside it, or ends that.
  void Hold(const Lane& lane, bool held) { workers_[lane.worker].held = held; }
  bool IsHeld(const Lane& lane) const { return workers_[lane.worker].held; }

  // A batch that ran with nothing beside it has ended: for as long as it took, the worker is for
  // others, if there are some. From when it is back, where it had to be started again.
  void BeginRest(TimePoint now, const Lane& lane, Duration time) {
    workers_[lane.worker].rest = time;
    workers_[lane.worker].rests_until = now + time;
  }
  // It has loaded what it loads; once for each rest.
  void RestAgain(TimePoint now, const Lane& lane) {
    Worker& worker = workers_[lane.worker];
    worker.rests_until = std::max(worker.rests_until, now + worker.rest);
    worker.rest = Duration{0};
  }
  bool Rests(TimePoint now, const Lane& lane) const {
    return now < workers_[lane.worker].rests_until;
  }
  bool IsIdle(const Lane& lane) const { return workers_[lane.worker].running == 0; }
  // No other lane of the worker's runs one.
  bool RunsOneBatch(const Lane& lane) const;

  bool IsFull(const Lane& lane) const { return workers_[lane.worker].full; }

  // Gives the batch to its lane.
  void Start(TimePoint now, std::unique_ptr<ScheduledBatch> batch);

  // The lane's batch of that number; null where it has none.
  ScheduledBatch* Find(LaneId id, uint64_t batch);

  // The batch that its lane runs at present; null where it runs none.
  static ScheduledBatch* Running(const Lane& lane) {
    return lane.batches.empty() ? nullptr : lane.batches.front().get();
  }
  // Since when that batch has had the lane for itself.
  static TimePoint RunsSince(const Lane& lane) {
    return std::max(lane.batches.front()->started, lane.last_ended);
  }

  // Takes it back. Its worker has room again. `ran` gets the time that it had the lane for itself.
  std::unique_ptr<ScheduledBatch> End(TimePoint now, LaneId id, uint64_t batch, Duration* ran);

  // Takes back a batch that the backend had no room for. True if it should be tried again: it stood
  // behind another one in its lane; or the worker runs other batches and is full until one ends, or
  // one has ended in the meantime.
  bool Refused(TimePoint now, LaneId id, uint64_t batch, std::unique_ptr<ScheduledBatch>* taken);

 private:
  struct Worker {
    uint32_t running = 0;
    uint64_t ended = 0;
    // No room for another batch until one ends.
    bool full = false;
    bool held = false;
    Duration rest{0};
    TimePoint rests_until{};
  };
  struct Pool {
    PoolKind kind;
    std::vector<Lane> lanes;
    size_t plain_lanes = 0;
  };

  std::unique_ptr<ScheduledBatch> TakeOut(TimePoint now, Lane& lane, uint64_t batch);

  std::vector<Pool> pools_;
  std::vector<Worker> workers_;
  std::vector<LaneId> express_lanes_;
};

}  // namespace tandem
