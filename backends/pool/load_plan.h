// Which models one worker shall hold, and which it loads next. One after the other, so that a model
// whose load ends the worker is known. What it may load, the pool's trials say. Pure; not
// thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/pool/load_trials.h"
#include "core/clock.h"
#include "core/model_config.h"

namespace tandem {

class LoadPlan {
 public:
  // `trials`, of all workers of the pool, outlives the plan. `worker`: the number within the pool.
  LoadPlan(LoadTrials& trials, uint32_t worker) : trials_(trials), worker_(worker) {}

  void Add(std::shared_ptr<const ModelVersion> model);
  void Remove(uint32_t handle);

  // For a worker that is ready. The next model to load, which is then the one that loads. Null
  // while one loads, and where there is none that may be loaded now.
  std::shared_ptr<const ModelVersion> StartNext();
  // The handle of the model that loads.
  std::optional<uint32_t> loading() const { return loading_; }
  // It loads, and is still wanted.
  bool IsLoading(uint32_t handle) const { return loading_ == handle && Has(handle); }
  // Models that were tried in this life; nothing while some are still to be that may be loaded.
  std::optional<size_t> all_tried() const;
  // The load goes on for long.
  void OnSlow() {
    if (loading_.has_value()) trials_.OnSlow(*loading_);
  }
  // The load has ended without a death, well or not. True where the model is still wanted.
  bool Finish();

  // The worker has died and will start with no model. `served`: it had been ready; `why` as in
  // LoadTrials::Died. Returns the model that it loaded, if any.
  std::optional<uint32_t> Restart(TimePoint now, LoadDeath death, bool served = true,
                                  std::string why = "");
  // Nobody knows when it will start.
  void OnCannotStart() { trials_.SetAway(worker_, false); }

  bool IsLeftOut(uint32_t handle) const { return trials_.IsLeftOut(handle); }
  std::string WhyLeftOut(uint32_t handle) const { return trials_.WhyLeftOut(handle); }
  // Those that will not be loaded in this life, for the deaths that they caused. Each once.
  std::vector<uint32_t> TakeLeftOut();
  // Those that wait for another worker's trial. Each once, until they are loaded.
  std::vector<uint32_t> TakePutOff();

 private:
  struct Item {
    // Shared with the catalog and the other workers' plans, which drop it each at its own time.
    std::shared_ptr<const ModelVersion> model;
    bool tried = false;
    bool is_put_off = false;
  };
  bool Has(uint32_t handle) const;

  LoadTrials& trials_;
  const uint32_t worker_;
  std::vector<Item> items_;
  std::optional<uint32_t> loading_;
};

}  // namespace tandem
