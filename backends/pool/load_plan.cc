#include "backends/pool/load_plan.h"

#include <algorithm>
#include <utility>

namespace tandem {

void LoadPlan::Add(std::shared_ptr<const ModelVersion> model) {
  items_.push_back({.model = std::move(model)});
}

void LoadPlan::Remove(uint32_t handle) {
  std::erase_if(items_, [handle](const Item& item) { return item.model->handle == handle; });
}

std::shared_ptr<const ModelVersion> LoadPlan::StartNext() {
  if (loading_.has_value()) return nullptr;
  Item* next = nullptr;
  for (Item& item : items_) {
    if (item.tried || item.left_out()) continue;
    if (next == nullptr || item.crashes > next->crashes) next = &item;
  }
  if (next == nullptr) return nullptr;
  next->tried = true;
  loading_ = next->model->handle;
  return next->model;
}

std::optional<size_t> LoadPlan::all_tried() const {
  if (loading_.has_value()) return std::nullopt;
  size_t tried = 0;
  for (const Item& item : items_) {
    if (item.left_out()) continue;
    if (!item.tried) return std::nullopt;
    ++tried;
  }
  return tried;
}

bool LoadPlan::Finish() {
  Item* const item = loading_.has_value() ? Find(*loading_) : nullptr;
  loading_.reset();
  if (item == nullptr) return false;
  item->crashes = 0;
  item->signals = 0;
  item->chances = 0;
  return true;
}

std::optional<uint32_t> LoadPlan::Restart(TimePoint now, bool crashed) {
  const std::optional<uint32_t> blamed = std::exchange(loading_, std::nullopt);
  for (Item& item : items_) {
    item.tried = false;
    const Duration wait = kFirstChance * (1 << std::min(item.chances, kMostDoublings));
    if (!item.left_out() || now - item.left_out_since < wait) continue;
    ++item.chances;
    item.crashes = kMostCrashes - 1;
    item.signals = 0;
  }
  if (!blamed.has_value()) return std::nullopt;
  Item* item = Find(*blamed);
  if (item == nullptr) return std::nullopt;
  ++(crashed ? item->crashes : item->signals);
  if (item->left_out()) item->left_out_since = now;
  return blamed;
}

std::vector<uint32_t> LoadPlan::LeftOut() const {
  std::vector<uint32_t> handles;
  for (const Item& item : items_) {
    if (item.left_out()) handles.push_back(item.model->handle);
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
