#include "backends/pool/load_plan.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace tandem {

void LoadPlan::Add(std::shared_ptr<const ModelVersion> model) {
  trials_.Add(model->handle);
  items_.push_back({.model = std::move(model)});
}

void LoadPlan::Remove(uint32_t handle) {
  trials_.Remove(handle);
  std::erase_if(items_, [handle](const Item& item) { return item.model->handle == handle; });
}

std::shared_ptr<const ModelVersion> LoadPlan::StartNext() {
  if (loading_.has_value()) return nullptr;
  std::vector<Item*> items;
  for (Item& item : items_) items.push_back(&item);
  std::ranges::stable_sort(items, std::less<>(), [this](const Item* item) {
    return trials_.Rank(worker_, item->model->handle);
  });
  for (Item* const item : items) {
    if (item->tried || !trials_.MayLoad(worker_, item->model->handle)) continue;
    item->tried = true;
    item->is_put_off = false;
    loading_ = item->model->handle;
    return item->model;
  }
  trials_.SetAway(worker_, false);
  return nullptr;
}

std::optional<size_t> LoadPlan::all_tried() const {
  if (loading_.has_value()) return std::nullopt;
  size_t tried = 0;
  for (const Item& item : items_) {
    if (trials_.IsLeftOut(item.model->handle) || item.is_put_off) continue;
    if (!item.tried) return std::nullopt;
    ++tried;
  }
  return tried;
}

bool LoadPlan::Finish() {
  const std::optional<uint32_t> loaded = std::exchange(loading_, std::nullopt);
  if (!loaded.has_value() || !Has(*loaded)) return false;
  trials_.Survived(*loaded);
  return true;
}

std::optional<uint32_t> LoadPlan::Restart(TimePoint now, LoadDeath death, bool served,
                                          std::string why) {
  const std::optional<uint32_t> blamed = std::exchange(loading_, std::nullopt);
  for (Item& item : items_) item.tried = item.is_put_off = false;
  trials_.SetAway(worker_, served);
  trials_.GiveChances(now);
  if (!blamed.has_value() || !Has(*blamed)) return std::nullopt;
  trials_.Died(worker_, *blamed, now, death, std::move(why));
  return blamed;
}

std::vector<uint32_t> LoadPlan::TakeLeftOut() {
  std::vector<uint32_t> handles;
  for (Item& item : items_) {
    if (item.tried || !trials_.IsLeftOut(item.model->handle)) continue;
    item.tried = true;
    handles.push_back(item.model->handle);
  }
  return handles;
}

std::vector<uint32_t> LoadPlan::TakePutOff() {
  std::vector<uint32_t> handles;
  if (loading_.has_value()) return handles;
  for (Item& item : items_) {
    if (item.tried || item.is_put_off) continue;
    item.is_put_off = true;
    handles.push_back(item.model->handle);
  }
  return handles;
}

bool LoadPlan::Has(uint32_t handle) const {
  return std::any_of(items_.begin(), items_.end(),
                     [handle](const Item& item) { return item.model->handle == handle; });
}

}  // namespace tandem
