// The models that are loaded in this worker, by handle.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "backends/worker/executor.h"

namespace tandem::worker {

// Thread-safe. Lanes borrow a model for the time of a run; it is not destroyed before all have
// given it back.
class ModelTable {
  struct Entry {
    std::unique_ptr<Executor> executor;
    uint32_t runs = 0;
    bool leaving = false;
    // Of the last run, for each row.
    std::atomic<int64_t> cpu_ns{0};
  };

 public:
  // A model in use. Gives it back when destroyed; the table outlives it.
  class Use {
   public:
    Use() = default;
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use();

    // Null where the model is not loaded.
    Executor* executor() const { return entry_ == nullptr ? nullptr : entry_->executor.get(); }

    // Time that a run of so many rows will compute, going by the last one's; 0: nobody knows. And
    // that one's.
    std::chrono::nanoseconds Expect(uint32_t rows) const;
    void Note(uint32_t rows, std::chrono::nanoseconds computed) const;

   private:
    friend class ModelTable;
    Use(ModelTable* table, Entry* entry) : table_(table), entry_(entry) {}

    ModelTable* table_ = nullptr;
    Entry* entry_ = nullptr;
  };

  // False, and the executor is destroyed, where the handle is taken.
  bool Add(uint32_t handle, std::unique_ptr<Executor> executor);
  bool Contains(uint32_t handle) const;

  Use Acquire(uint32_t handle);

  // From now on nobody gets the model; waits until no lane runs it, then destroys it. False where
  // it is not there.
  bool Remove(uint32_t handle);

 private:
  mutable std::mutex mutex_;
  std::condition_variable given_back_;
  // Guarded by mutex_. A map's entries stay where they are.
  std::map<uint32_t, Entry> models_;
};

}  // namespace tandem::worker
