#include "router/model_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "router/quoted.h"

namespace tandem {

uint32_t ModelTable::AddPool(std::string name, PoolKind kind, uint32_t lane_count) {
  pools_.push_back(
      {std::move(name), kind, std::vector<LaneState>(lane_count, LaneState::kStarting), ""});
  return static_cast<uint32_t>(pools_.size() - 1);
}

absl::StatusOr<ModelEntry*> ModelTable::Add(std::shared_ptr<const ModelVersion> model) {
  ModelEntry*& place = by_name_[model->config.name][model->version];
  if (place != nullptr) {
    return absl::AlreadyExistsError(absl::StrCat("model \"", model->config.name, "\" version ",
                                                 model->version, " is listed already"));
  }
  ModelEntry& entry = Insert(std::move(model));
  place = &entry;
  return &entry;
}

ModelEntry& ModelTable::Insert(std::shared_ptr<const ModelVersion> model) {
  ModelEntry& entry = entries_.emplace_back();
  entry.name = model->config.name;
  entry.version = model->version;
  entry.seats.resize(pools_.size());
  for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
    entry.seats[pool].held = Serves(pool, model->config);
    entry.seats[pool].lanes.resize(pools_[pool].lanes.size(), ModelOnLane::kLoading);
  }
  by_handle_[model->handle] = &entry;
  if (model->config.preserve_ordering) entry.answering = std::make_unique<std::mutex>();
  if (absl::Status status = CheckServed(model->config); !status.ok()) {
    entry.unusable = std::string(status.message());
  }
  entry.given = model;
  entry.model = std::move(model);
  return entry;
}

void ModelTable::AddUnusable(std::string name, int64_t version, std::string reason) {
  ModelEntry*& place = by_name_[name][version];
  if (place != nullptr) return;
  place = &entries_.emplace_back();
  place->name = std::move(name);
  place->version = version;
  place->unusable = std::move(reason);
}

bool ModelTable::Serves(uint32_t pool, const ModelConfig& config) const {
  return pools_[pool].kind == PoolKind::kCpu ? config.on_cpu : config.on_gpu;
}

absl::Status ModelTable::CheckServed(const ModelConfig& config) const {
  for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
    if (Serves(pool, config)) return absl::OkStatus();
  }
  const char* wanted = config.on_cpu ? (config.on_gpu ? "cpu or gpu" : "cpu") : "gpu";
  const std::string pools = absl::StrJoin(pools_, ", ", [](std::string* out, const Pool& pool) {
    absl::StrAppend(out, pool.name, " (", PoolKindName(pool.kind), ")");
  });
  return absl::FailedPreconditionError(
      absl::StrCat("model \"", config.name, "\" wants a pool of kind ", wanted,
                   ", but the server has ", pools.empty() ? "no pools" : pools,
                   "; add such a pool, or change the model's instance_group or its placement (",
                   absl::StrJoin(kPlacementModeNames, ", "), ")"));
}

absl::StatusOr<const ModelEntry*> ModelTable::Find(const std::string& name, int64_t version) const {
  if (name.empty()) return absl::InvalidArgumentError("the request names no model");
  const auto versions = by_name_.find(name);
  if (versions == by_name_.end()) {
    return absl::NotFoundError(absl::StrCat("there is no model ", Quoted(name)));
  }
  if (version >= 0) {
    const auto entry = versions->second.find(version);
    if (entry != versions->second.end()) return entry->second;
    // A model that could not be read has no versions at all.
    const ModelEntry& first = *versions->second.begin()->second;
    if (first.version == 0) return &first;
    const std::string served =
        absl::StrJoin(versions->second, ", ",
                      [](std::string* out, const auto& item) { absl::StrAppend(out, item.first); });
    return absl::NotFoundError(absl::StrCat("model \"", name, "\" has no version ", version,
                                            "; its versions are: ", served));
  }
  const ModelEntry* best = nullptr;
  int best_rank = -1;
  for (auto it = versions->second.rbegin(); it != versions->second.rend(); ++it) {
    const ModelEntry& entry = *it->second;
    const bool ready = StateOf(entry) == ModelState::kReady;
    const bool answers = ready || (entry.unusable.empty() && CheckReady(entry).ok());
    const int rank = (answers ? 2 : 0) + (ready ? 1 : 0) + (answers && !entry.is_arriving ? 2 : 0);
    if (rank == 5) return &entry;
    if (rank > best_rank) {
      best = &entry;
      best_rank = rank;
    }
  }
  return best;
}

absl::StatusOr<ModelEntry*> ModelTable::Find(const std::string& name, int64_t version) {
  const auto found = std::as_const(*this).Find(name, version);
  if (!found.ok()) return found.status();
  return const_cast<ModelEntry*>(*found);
}

ModelEntry* ModelTable::FindHandle(uint32_t handle) {
  const auto found = by_handle_.find(handle);
  return found == by_handle_.end() ? nullptr : found->second;
}

bool ModelTable::Has(LaneId lane) const {
  return lane.pool < pools_.size() && lane.lane < pools_[lane.pool].lanes.size();
}

void ModelTable::LaneUp(LaneId lane) {
  if (!Has(lane)) return;
  pools_[lane.pool].lanes[lane.lane] = LaneState::kUp;
  for (ModelEntry& entry : entries_) Recount(entry);
}

void ModelTable::LaneDown(LaneId lane, const absl::Status& reason) {
  if (!Has(lane)) return;
  pools_[lane.pool].lanes[lane.lane] = LaneState::kDown;
  pools_[lane.pool].reason = std::string(reason.message());
  for (ModelEntry& entry : entries_) {
    if (entry.seats.empty()) continue;
    Note(entry, lane, ModelEvent::kLaneDown);
  }
}

void ModelTable::NoteLoad(LaneId lane, ModelEntry& entry, ModelEvent event) {
  if (Has(lane) && !entry.seats.empty()) Note(entry, lane, event);
}

void ModelTable::Ready(LaneId lane, ModelEntry& entry, std::vector<TensorSpec> inputs,
                       std::vector<TensorSpec> outputs) {
  if (!Has(lane) || entry.seats.empty()) return;
  Note(entry, lane, ModelEvent::kLoaded);
  if (entry.has_signature) return;
  entry.has_signature = true;
  auto model = std::make_shared<ModelVersion>(*entry.model);
  if (!inputs.empty()) model->config.inputs = std::move(inputs);
  if (!outputs.empty()) model->config.outputs = std::move(outputs);
  entry.model = std::move(model);
}

void ModelTable::Failed(LaneId lane, ModelEntry& entry, const absl::Status& reason) {
  if (!Has(lane) || entry.seats.empty()) return;
  Note(entry, lane, ModelEvent::kLoadFailed);
  entry.failure = std::string(reason.message());
}

void ModelTable::Note(ModelEntry& entry, LaneId lane, ModelEvent event) {
  ModelOnLane& state = entry.seats[lane.pool].lanes[lane.lane];
  state = Next(ModelTransitions(), state, event);
  Recount(entry);
}

ModelTable::Tally ModelTable::Count(const ModelEntry& entry) const {
  Tally tally;
  for (uint32_t pool = 0; pool < entry.seats.size(); ++pool) {
    const ModelEntry::Seat& seat = entry.seats[pool];
    if (!seat.held) continue;
    for (size_t lane = 0; lane < seat.lanes.size(); ++lane) {
      if (pools_[pool].lanes[lane] == LaneState::kDown) {
        ++tally.down;
      } else if (seat.lanes[lane] == ModelOnLane::kReady) {
        ++tally.ready;
      } else if (seat.lanes[lane] == ModelOnLane::kFailed) {
        ++tally.failed;
      } else {
        ++tally.loading;
      }
    }
  }
  return tally;
}

ModelState ModelTable::StateOf(const ModelEntry& entry) const {
  if (!entry.unusable.empty()) return ModelState::kUnavailable;
  if (entry.ready_lanes > 0) return ModelState::kReady;
  return Count(entry).loading > 0 ? ModelState::kLoading : ModelState::kUnavailable;
}

bool ModelTable::HasLaneUp(const ModelEntry& entry) const {
  if (!entry.unusable.empty()) return true;
  for (uint32_t pool = 0; pool < entry.seats.size(); ++pool) {
    const std::vector<LaneState>& lanes = pools_[pool].lanes;
    if (entry.seats[pool].held && std::count(lanes.begin(), lanes.end(), LaneState::kUp) > 0) {
      return true;
    }
  }
  return false;
}

bool ModelTable::IsSettled(const ModelEntry& entry) const {
  if (!entry.unusable.empty()) return true;
  for (uint32_t pool = 0; pool < entry.seats.size(); ++pool) {
    const ModelEntry::Seat& seat = entry.seats[pool];
    if (!seat.held || IsHopeless(entry, pool)) continue;
    bool runs = false;
    for (size_t lane = 0; lane < seat.lanes.size(); ++lane) {
      runs |= seat.lanes[lane] == ModelOnLane::kReady && pools_[pool].lanes[lane] == LaneState::kUp;
    }
    if (!runs) return false;
  }
  return true;
}

ModelStatus ModelTable::StatusOf(const ModelEntry& entry) const {
  ModelStatus status;
  status.name = entry.name;
  status.version = entry.version;
  status.state = StateOf(entry);
  status.model = entry.model;
  status.is_leaving = entry.is_leaving;
  status.totals = entry.totals.Read();
  for (uint32_t pool = 0; pool < entry.seats.size(); ++pool) {
    const auto& lanes = entry.seats[pool].lanes;
    if (!entry.seats[pool].held) continue;
    if (std::find(lanes.begin(), lanes.end(), ModelOnLane::kReady) != lanes.end()) {
      status.pools.push_back(pools_[pool].name);
    }
  }
  if (status.state == ModelState::kReady) {
    status.reason = RemarkOn(entry);
    return status;
  }
  if (!entry.unusable.empty()) {
    status.reason = entry.unusable;
  } else if (status.state == ModelState::kLoading) {
    status.reason = "it is not loaded yet";
  } else if (Count(entry).failed > 0) {
    status.reason = entry.failure;
  } else {
    status.reason = "its worker is being restarted";
    for (uint32_t pool = 0; pool < entry.seats.size(); ++pool) {
      if (!entry.seats[pool].held || pools_[pool].reason.empty()) continue;
      absl::StrAppend(&status.reason, " (pool ", pools_[pool].name, ": ", pools_[pool].reason, ")");
    }
  }
  return status;
}

absl::Status ModelTable::CheckReady(const ModelEntry& entry) const {
  if (entry.ready_lanes > 0) return absl::OkStatus();
  if (entry.has_signature) {
    const Tally tally = Count(entry);
    if (tally.down + tally.loading > 0) return absl::OkStatus();
  }
  const std::string version = entry.version > 0 ? absl::StrCat(" version ", entry.version) : "";
  return absl::UnavailableError(absl::StrCat("model \"", entry.name, "\"", version,
                                             " is not ready: ", StatusOf(entry).reason));
}

bool ModelTable::IsLoading(LaneId lane) const {
  return Has(lane) && std::any_of(entries_.begin(), entries_.end(), [&](const ModelEntry& entry) {
           return entry.unusable.empty() && !entry.seats.empty() && entry.seats[lane.pool].held &&
                  entry.seats[lane.pool].lanes[lane.lane] == ModelOnLane::kLoading;
         });
}

bool ModelTable::IsHopeless(const ModelEntry& entry, uint32_t pool) const {
  const std::vector<ModelOnLane>& lanes = entry.seats[pool].lanes;
  for (size_t lane = 0; lane < lanes.size(); ++lane) {
    if (pools_[pool].lanes[lane] == LaneState::kDown) return false;
    if (lanes[lane] != ModelOnLane::kFailed) return false;
  }
  return true;
}

absl::Status ModelTable::CheckPool(const ModelEntry& entry, PoolPreference wanted) const {
  if (wanted == PoolPreference::kAny) return absl::OkStatus();
  const PoolKind kind = wanted == PoolPreference::kCpu ? PoolKind::kCpu : PoolKind::kGpu;
  const char* other = "no pool";
  for (uint32_t pool = 0; pool < entry.seats.size(); ++pool) {
    if (!entry.seats[pool].held) continue;
    if (pools_[pool].kind == kind) return absl::OkStatus();
    other = kind == PoolKind::kCpu ? "a gpu pool" : "a cpu pool";
  }
  // The other words do not keep it off a kind.
  const PoolKind placed = kind == PoolKind::kCpu ? PoolKind::kGpu : PoolKind::kCpu;
  const PlacementMode only = placed == PoolKind::kCpu ? PlacementMode::kCpu : PlacementMode::kGpu;
  const bool by_placement = entry.given != nullptr && entry.given->config.placement == only;
  return absl::InvalidArgumentError(
      absl::StrCat("model \"", entry.name, "\" is on no ", PoolKindName(kind), " pool; it is on ",
                   other, ": ask for that, or change the model's ",
                   by_placement ? absl::StrCat("placement, which is ", PoolKindName(placed))
                                : "instance_group"));
}

std::vector<const ModelEntry*> ModelTable::All() const {
  std::vector<const ModelEntry*> all;
  for (const auto& [name, versions] : by_name_) {
    for (const auto& [number, entry] : versions) all.push_back(entry);
  }
  std::sort(all.begin(), all.end(), [](const ModelEntry* a, const ModelEntry* b) {
    return std::tie(a->name, a->version) < std::tie(b->name, b->version);
  });
  return all;
}

}  // namespace tandem
