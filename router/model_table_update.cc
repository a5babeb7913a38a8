// How the versions of a model change while the server runs: what is new joins, is tried on all
// lanes, and only then takes the place of what it replaces. So there is always one to ask.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/model_table.h"

namespace tandem {

ModelChanges ModelTable::Update(const ModelUpdate& update) {
  ModelChanges changes;
  std::map<int64_t, ModelEntry*>& versions = by_name_[update.model];
  // What could not be read is listed anew.
  std::vector<ModelEntry*> unusable;
  for (const auto& [number, entry] : versions) {
    entry->is_leaving = true;
    entry->is_excluded = std::count(update.excluded.begin(), update.excluded.end(), number) > 0;
    entry->unreadable.clear();
    if (!entry->unusable.empty()) unusable.push_back(entry);
  }
  for (ModelEntry* entry : unusable) Retire(*entry, changes);
  for (const auto& model : update.versions) Want(model, changes);
  for (const UnusableVersion& version : update.unusable)
    NoteUnusable(update.model, version, changes);
  ModelChanges settled = Settle(update.model);
  changes.gone.insert(changes.gone.end(), settled.gone.begin(), settled.gone.end());
  return changes;
}

void ModelTable::Want(const std::shared_ptr<const ModelVersion>& model, ModelChanges& changes) {
  std::map<int64_t, ModelEntry*>& versions = by_name_[model->config.name];
  const auto found = versions.find(model->version);
  if (found == versions.end()) return Join(model, changes);
  ModelEntry& present = *found->second;
  present.is_leaving = false;
  if (HaveSameContent(*present.given, *model) && !HasFailed(present)) {
    return RetireSuccessor(present, changes);
  }
  if (present.successor != nullptr && HaveSameContent(*present.successor->given, *model) &&
      !HasFailed(*present.successor)) {
    return;
  }
  RetireSuccessor(present, changes);
  if (!CheckReady(present).ok()) {
    Retire(present, changes);
    return Join(model, changes);
  }
  ModelEntry& next = Insert(model);
  present.successor = &next;
  Arrive(next, changes);
}

void ModelTable::Join(const std::shared_ptr<const ModelVersion>& model, ModelChanges& changes) {
  ModelEntry& entry = Insert(model);
  by_name_[entry.name][entry.version] = &entry;
  Arrive(entry, changes);
}

// Has the entry loaded, where a pool serves it.
void ModelTable::Arrive(ModelEntry& entry, ModelChanges& changes) {
  entry.is_late = true;
  if (!entry.unusable.empty()) return;
  entry.is_arriving = true;
  changes.added.push_back(&entry);
}

void ModelTable::NoteUnusable(const std::string& model, const UnusableVersion& version,
                              ModelChanges& changes) {
  std::map<int64_t, ModelEntry*>& versions = by_name_[model];
  if (version.version == 0) {
    // Nobody can say which versions it should have.
    for (const auto& [number, entry] : versions) {
      entry->is_leaving = false;
      RetireSuccessor(*entry, changes);
    }
  }
  const auto found = versions.find(version.version);
  if (found != versions.end()) {
    found->second->is_leaving = false;
    found->second->unreadable = version.reason;
    return RetireSuccessor(*found->second, changes);
  }
  AddUnusable(model, version.version, version.reason);
  versions[version.version]->is_late = true;
}

ModelChanges ModelTable::Settle(const std::string& model) {
  ModelChanges changes;
  const auto found = by_name_.find(model);
  if (found == by_name_.end()) return changes;
  bool any_stays = false;
  bool any_ready = false;
  bool any_missing = false;
  std::vector<ModelEntry*> leaving;
  for (auto& [number, place] : found->second) {
    if (IsTried(*place)) place->is_arriving = false;
    if (ModelEntry* const next = place->successor; next != nullptr && IsTried(*next)) {
      next->is_arriving = false;
      if (next->ready_lanes > 0) {
        ModelEntry& old = *std::exchange(place, next);
        old.successor = nullptr;
        next->is_leaving = old.is_leaving;
        next->is_excluded = old.is_excluded;
        if (old.in_flight.Close()) changes.gone.push_back(&old);
      }
    }
    if (place->is_leaving) {
      leaving.push_back(place);
      continue;
    }
    const bool ready = place->ready_lanes > 0 && !place->is_arriving;
    any_stays = true;
    any_ready = any_ready || ready;
    any_missing = any_missing || place->successor != nullptr || (place->is_late && !ready);
  }
  if (!any_stays || (any_ready && !any_missing)) {
    for (ModelEntry* entry : leaving) Retire(*entry, changes);
  }
  const auto left = by_name_.find(model);
  if (left != by_name_.end() && left->second.empty()) by_name_.erase(left);
  return changes;
}

// Nobody finds it from now on.
void ModelTable::Retire(ModelEntry& entry, ModelChanges& changes) {
  RetireSuccessor(entry, changes);
  by_name_[entry.name].erase(entry.version);
  if (entry.in_flight.Close()) changes.gone.push_back(&entry);
}

void ModelTable::RetireSuccessor(ModelEntry& entry, ModelChanges& changes) {
  ModelEntry* const next = std::exchange(entry.successor, nullptr);
  if (next != nullptr && next->in_flight.Close()) changes.gone.push_back(next);
}

bool ModelTable::IsTried(const ModelEntry& entry) const {
  const Tally tally = Count(entry);
  return tally.loading == 0 && (tally.ready > 0 || tally.down == 0);
}

// It has been tried, and will not be again.
bool ModelTable::HasFailed(const ModelEntry& entry) const {
  return !entry.is_arriving && StateOf(entry) == ModelState::kUnavailable &&
         !CheckReady(entry).ok();
}

bool ModelTable::IsArriving(const std::string& model) const {
  const auto found = by_name_.find(model);
  if (found == by_name_.end()) return false;
  for (const auto& [number, entry] : found->second) {
    if (entry->is_arriving) return true;
    if (entry->successor != nullptr && entry->successor->is_arriving) return true;
  }
  return false;
}

std::vector<std::string> ModelTable::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, versions] : by_name_) names.push_back(name);
  return names;
}

std::string ModelTable::RemarkOn(const ModelEntry& entry) const {
  constexpr char kStays[] = "its files have changed and cannot be served, so it stays as it was: ";
  if (!entry.unreadable.empty()) return absl::StrCat(kStays, entry.unreadable);
  if (entry.successor != nullptr) {
    if (!HasFailed(*entry.successor)) return "its files have changed and are being loaded";
    return absl::StrCat(kStays, StatusOf(*entry.successor).reason);
  }
  if (entry.is_leaving) {
    return absl::StrCat(entry.is_excluded ? "its model's version_policy excludes it, and it"
                                          : "it is in the repository no more, and",
                        " stays until what comes in its place is ready");
  }
  return "";
}

void ModelTable::Erase(const ModelEntry& entry) {
  if (entry.model != nullptr) by_handle_.erase(entry.model->handle);
  entries_.remove_if([&entry](const ModelEntry& each) { return &each == &entry; });
}

}  // namespace tandem
