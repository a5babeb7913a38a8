// Which models one worker shall hold, and which it loads next. One after the other, so that a model
// whose load ends the worker is known; after two such deaths it is left out and the others come
// back. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/model_config.h"

namespace tandem {

class LoadPlan {
 public:
  static constexpr int kMostDeaths = 2;

  void Add(std::shared_ptr<const ModelVersion> model);
  void Remove(uint32_t handle);

  // The next model to load, which is then the one that loads. Null while one loads, and when all
  // have been tried.
  std::shared_ptr<const ModelVersion> StartNext();
  // The handle of the model that loads.
  std::optional<uint32_t> loading() const { return loading_; }
  // The load has ended, well or not. True where the model is still wanted.
  bool Finish();

  // The worker has died and will start with no model. Returns the model that it died of, if any.
  std::optional<uint32_t> Restart();
  // Those that are not loaded any more, for the deaths that they caused.
  std::vector<uint32_t> LeftOut() const;

 private:
  struct Item {
    // Shared with the catalog and the other workers' plans, which drop it each at its own time.
    std::shared_ptr<const ModelVersion> model;
    bool tried = false;
    int deaths = 0;
  };
  Item* Find(uint32_t handle);

  std::vector<Item> items_;
  std::optional<uint32_t> loading_;
};

}  // namespace tandem
