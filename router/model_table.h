// The versions that the server knows, and on which lane each can run. Tells their state to people;
// the scheduler keeps its own, leaner view. A state machine without clock or threads; not
// thread-safe, but for the counters.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
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
#include "router/request_count.h"
#include "router/request_totals.h"

namespace tandem {

// One version. Stays at its place until it is erased.
struct ModelEntry {
  std::string name;
  int64_t version = 0;
  // With the workers' signature once one has told it. Null for a version that could not be read.
  // Shared with the requests that were checked against it.
  std::shared_ptr<const ModelVersion> model;
  // As it was read, without what the workers told. Null as `model`.
  std::shared_ptr<const ModelVersion> given;
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

  // It joined a running server; and it has not been tried on all lanes yet, so that the others of
  // its name go before it.
  bool is_late = false;
  bool is_arriving = false;
  // The repository has it no more, or its policy excludes it. It goes once what comes in its place
  // is ready.
  bool is_leaving = false;
  bool is_excluded = false;
  // Has the same number and other content, and takes its place once it is ready. Null: none.
  ModelEntry* successor = nullptr;
  // Why what was to take its place cannot be read.
  std::string unreadable;

  // Held from a batch's end until all its answers are given, where they keep the requests' order: a
  // batch that began at that end may end before. Null where they do not.
  std::unique_ptr<std::mutex> answering;

  // Thread-safe.
  RequestCount in_flight;
  RequestTotals totals;
};

// What an update has led to.
struct ModelChanges {
  // To be loaded.
  std::vector<ModelEntry*> added;
  // To be erased: nobody finds them any more, and their requests have been answered. Others that
  // nobody finds are erased by who sees their last request leave.
  std::vector<ModelEntry*> gone;
};

class ModelTable {
 public:
  uint32_t AddPool(std::string name, PoolKind kind, uint32_t lane_count);

  // ALREADY_EXISTS for a version that is listed.
  absl::StatusOr<ModelEntry*> Add(std::shared_ptr<const ModelVersion> model);
  void AddUnusable(std::string name, int64_t version, std::string reason);

  // Makes the model what the update says, step by step: what is new joins at once, what it takes
  // the place of goes once it is ready. A version whose new content, or whose successor, cannot be
  // loaded stays. See model_table_update.cc.
  ModelChanges Update(const ModelUpdate& update);
  // Takes the steps that are due. To be called when a lane has tried one of the model's versions.
  ModelChanges Settle(const std::string& model);
  // Some version of it has not been tried on all lanes.
  bool IsArriving(const std::string& model) const;
  // Names of all models.
  std::vector<std::string> Names() const;
  void Erase(const ModelEntry& entry);

  // Whether the pool serves models of that kind of instance.
  bool Serves(uint32_t pool, const ModelConfig& config) const;
  // FAILED_PRECONDITION, naming the pools that there are, where none does.
  absl::Status CheckServed(const ModelConfig& config) const;

  // NOT_FOUND for a name or a version that is not listed. -1: the highest that is ready, else the
  // highest that is coming back, else the highest.
  absl::StatusOr<ModelEntry*> Find(const std::string& name, int64_t version);
  absl::StatusOr<const ModelEntry*> Find(const std::string& name, int64_t version) const;
  // Null for a handle that no version has.
  ModelEntry* FindHandle(uint32_t handle);

  void LaneUp(LaneId lane);
  void LaneDown(LaneId lane, const absl::Status& reason);
  // That its load was put off, or has begun.
  void NoteLoad(LaneId lane, ModelEntry& entry, ModelEvent event);
  void Ready(LaneId lane, ModelEntry& entry, std::vector<TensorSpec> inputs,
             std::vector<TensorSpec> outputs);
  void Failed(LaneId lane, ModelEntry& entry, const absl::Status& reason);

  // All but `queued`.
  ModelStatus StatusOf(const ModelEntry& entry) const;
  ModelState StateOf(const ModelEntry& entry) const;
  // Whether a lane is up that may run the version. True of a version that no pool will ever run.
  bool HasLaneUp(const ModelEntry& entry) const;
  // Each pool that is to run the version can, or has found that it never will.
  bool IsSettled(const ModelEntry& entry) const;
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
  ModelEntry& Insert(std::shared_ptr<const ModelVersion> model);
  // Of an update.
  void Want(const std::shared_ptr<const ModelVersion>& model, ModelChanges& changes);
  void NoteUnusable(const std::string& model, const UnusableVersion& version,
                    ModelChanges& changes);
  void Join(const std::shared_ptr<const ModelVersion>& model, ModelChanges& changes);
  static void Arrive(ModelEntry& entry, ModelChanges& changes);
  void Retire(ModelEntry& entry, ModelChanges& changes);
  void RetireSuccessor(ModelEntry& entry, ModelChanges& changes);
  bool IsTried(const ModelEntry& entry) const;
  bool HasFailed(const ModelEntry& entry) const;
  // What is to be known of a version that is ready.
  std::string RemarkOn(const ModelEntry& entry) const;
  void Recount(ModelEntry& entry) const { entry.ready_lanes = Count(entry).ready; }
  bool Has(LaneId lane) const;

  std::vector<Pool> pools_;
  // Also those that nobody finds any more.
  std::list<ModelEntry> entries_;
  std::unordered_map<std::string, std::map<int64_t, ModelEntry*>> by_name_;
  std::unordered_map<uint32_t, ModelEntry*> by_handle_;
};

}  // namespace tandem
