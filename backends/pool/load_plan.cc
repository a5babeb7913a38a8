#include "backends/pool/load_plan.h"

#include <algorithm>
#include <utility>

namespace tandem {

void LoadPlan::Add(std::shared_ptr<const ModelVersion> model) {
  items_.push_back({std::move(model), false, 0});
}

void LoadPlan::Remove(uint32_t handle) {
  std::erase_if(items_, [handle](const Item& item) { return item.model->handle == handle; });
}

std::shared_ptr<const ModelVersion> LoadPlan::StartNext() {
  if (loading_.has_value()) return nullptr;
  for (Item& item : items_) {
    if (item.tried || item.deaths >= kMostDeaths) continue;
    item.tried = true;
    loading_ = item.model->handle;
    return item.model;
  }
  return nullptr;
}

bool LoadPlan::Finish() {
  const bool wanted = loading_.has_value() && Find(*loading_) != nullptr;
  loading_.reset();
  return wanted;
}

std::optional<uint32_t> LoadPlan::Restart() {
  const std::optional<uint32_t> blamed = std::exchange(loading_, std::nullopt);
  for (Item& item : items_) item.tried = false;
  if (!blamed.has_value()) return std::nullopt;
  Item* item = Find(*blamed);
  if (item == nullptr) return std::nullopt;
  ++item->deaths;
  return blamed;
}

std::vector<uint32_t> LoadPlan::LeftOut() const {
  std::vector<uint32_t> handles;
  for (const Item& item : items_) {
    if (item.deaths >= kMostDeaths) handles.push_back(item.model->handle);
  }
  return handles;
}

LoadPlan::Item* LoadPlan::Find(uint32_t handle) {
  const auto found = std::find_if(items_.begin(), items_.end(), [handle](const Item& item) {
    return item.model->handle == handle;
  });
  return found == items_.end() ? nullptr : &*found;
}

}  // namespace tandem
