#include "backends/worker/model_table.h"

#include <algorithm>
#include <utility>

namespace tandem::worker {

ModelTable::Use::~Use() {
  if (entry_ == nullptr) return;
  const std::lock_guard lock(table_->mutex_);
  --entry_->runs;
  // Under the lock: the table may be gone once Remove has seen the count.
  if (entry_->leaving) table_->given_back_.notify_all();
}

std::chrono::nanoseconds ModelTable::Use::Expect(uint32_t rows) const {
  return std::chrono::nanoseconds(entry_->cpu_ns.load(std::memory_order_relaxed) * rows);
}

void ModelTable::Use::Note(uint32_t rows, std::chrono::nanoseconds computed) const {
  entry_->cpu_ns.store(computed.count() / std::max(rows, 1U), std::memory_order_relaxed);
}

bool ModelTable::Add(uint32_t handle, std::unique_ptr<Executor> executor) {
  const std::lock_guard lock(mutex_);
  const auto [place, added] = models_.try_emplace(handle);
  if (added) place->second.executor = std::move(executor);
  return added;
}

bool ModelTable::Contains(uint32_t handle) const {
  const std::lock_guard lock(mutex_);
  return models_.count(handle) > 0;
}

ModelTable::Use ModelTable::Acquire(uint32_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(handle);
  if (found == models_.end() || found->second.leaving) return {};
  ++found->second.runs;
  return {this, &found->second};
}

bool ModelTable::Remove(uint32_t handle) {
  std::unique_ptr<Executor> executor;
  {
    std::unique_lock lock(mutex_);
    const auto found = models_.find(handle);
    if (found == models_.end() || found->second.leaving) return false;
    Entry& entry = found->second;
    entry.leaving = true;
    given_back_.wait(lock, [&entry] { return entry.runs == 0; });
    executor = std::move(entry.executor);
    models_.erase(found);
  }
  // Destroyed outside the lock: a large model takes a while, and the lanes run others meanwhile.
  executor.reset();
  return true;
}

}  // namespace tandem::worker
