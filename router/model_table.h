// The versions that the server knows, and on which lane each can run. Tells their state to people;
// the scheduler keeps its own, leaner view. A state machine without clock or threads; not
// thread-safe, but for the counters.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend.h"
#include "core/infer_request.h"
#include "core/model_config.h"
#include "router/catalog.h"
#include "router/model_on_lane.h"

namespace tandem {

// One version. Lives as long as the table, at one place.
struct ModelEntry {
  std::string name;
  int64_t version = 0;
  // With the workers' signature once one has told it. Null for a version that could not be read.
  // Shared with the requests that were checked against it.
  std::shared_ptr<const ModelVersion> model;
  // The scheduler's number of it.
  uint32_t number = 0;
  // Why no pool will ever run it. Empty where one may.
  std::string unusable;

  struct Seat {
    bool held = false;
    std::vector<ModelOnLane> lanes;
  };
  // By pool.
  std::vector<Seat> seats;
  // Reason of the last failure to load.
  std::string failure;
  bool has_signature = false;
  // Lanes that can run it now.
  uint32_t ready_lanes = 0;

  // Thread-safe.
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> failures{0};
};

class ModelTable {
 public:
  uint32_t AddPool(std::string name, PoolKind kind, uint32_t lane_count);

  // ALREADY_EXISTS for a version that is listed.
  absl::StatusOr<ModelEntry*> Add(std::shared_ptr<const ModelVersion> model);
  void AddUnusable(std::string name, int64_t version, std::string reason);

  // Whether the pool serves models of that kind of instance.
  bool Serves(uint32_t pool, const ModelConfig& config) const;
  // FAILED_PRECONDITION, naming the pools that there are, where none does.
  absl::Status CheckServed(const ModelConfig& config) const;

  // NOT_FOUND for a name or a version that is not listed. -1: the highest that is ready, else the
  // highest.
  absl::StatusOr<ModelEntry*> Find(const std::string& name, int64_t version);
  absl::StatusOr<const ModelEntry*> Find(const std::string& name, int64_t version) const;
  // Null for a handle that no version has.
  ModelEntry* FindHandle(uint32_t handle);

  void LaneUp(LaneId lane);
  void LaneDown(LaneId lane, const absl::Status& reason);
  void Ready(LaneId lane, ModelEntry& entry, std::vector<TensorSpec> inputs,
             std::vector<TensorSpec> outputs);
  void Failed(LaneId lane, ModelEntry& entry, const absl::Status& reason);

  // All but `queued`.
  ModelStatus StatusOf(const ModelEntry& entry) const;
  ModelState StateOf(const ModelEntry& entry) const;
  // Whether a lane is up that may run the version. True of a version that no pool will ever run.
  bool HasLaneUp(const ModelEntry& entry) const;
  // UNAVAILABLE, with the reason, for a version that is not ready, unless it was and its worker is
  // coming back.
  absl::Status CheckReady(const ModelEntry& entry) const;
  // The lane's worker has not tried all its models yet.
  bool IsLoading(LaneId lane) const;
  // No lane of the pool runs the version or may still load it.
  bool IsHopeless(const ModelEntry& entry, uint32_t pool) const;
  // INVALID_ARGUMENT, naming the kinds, where no pool of the wanted kind holds the version.
  absl::Status CheckPool(const ModelEntry& entry, PoolPreference wanted) const;

  // All versions, by name and number.
  std::vector<const ModelEntry*> All() const;

 private:
  enum class LaneState { kStarting, kUp, kDown };
  struct Pool {
    std::string name;
    PoolKind kind;
    std::vector<LaneState> lanes;
    // Why a lane last went down.
    std::string reason;
  };
  // Lanes of the version by their state.
  struct Tally {
    uint32_t ready = 0;
    uint32_t loading = 0;
    uint32_t failed = 0;
    uint32_t down = 0;
  };

  // What has happened to the version on a lane that there is.
  void Note(ModelEntry& entry, LaneId lane, ModelEvent event);
  Tally Count(const ModelEntry& entry) const;
  void Recount(ModelEntry& entry) const { entry.ready_lanes = Count(entry).ready; }
  bool Has(LaneId lane) const;

  std::vector<Pool> pools_;
  std::deque<ModelEntry> entries_;
  std::unordered_map<std::string, std::map<int64_t, ModelEntry*>> by_name_;
  std::unordered_map<uint32_t, ModelEntry*> by_handle_;
};

}  // namespace tandem
