// Which models one worker shall hold, and which it loads next. One after the other, so that a model
// whose load ends the worker is known. Pure; not thread-safe.
//
// A worker that dies while it loads a model may have died of another one's run. So the model that
// is blamed comes first in the next life, before any other can run: if the worker dies again, it is
// the one, and is left out. A signal from outside says less; it takes a row of those.
//
// Who is left out gets another chance when the worker starts again for some other reason, after a
// minute at first, then twice as late each time: it may have been blamed for what came from
// outside.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "core/model_config.h"

namespace tandem {

class LoadPlan {
 public:
  static constexpr int kMostCrashes = 2;
  static constexpr int kMostSignals = 5;
  static constexpr Duration kFirstChance = std::chrono::minutes(1);
  // After that many chances the time between them grows no more.
  static constexpr int kMostDoublings = 6;

  void Add(std::shared_ptr<const ModelVersion> model);
  void Remove(uint32_t handle);

  // The next model to load, which is then the one that loads. Null while one loads, and when all
  // have been tried.
  std::shared_ptr<const ModelVersion> StartNext();
  // The handle of the model that loads.
  std::optional<uint32_t> loading() const { return loading_; }
  // Models that were tried in this life; nothing while some are still to be.
  std::optional<size_t> all_tried() const;
  // The load has ended without a death, well or not. True where the model is still wanted.
  bool Finish();

  // The worker has died and will start with no model. `crashed`: by itself, not by a signal from
  // outside. Returns the model that it loaded, if any.
  std::optional<uint32_t> Restart(TimePoint now, bool crashed);
  // Those that are not loaded any more, for the deaths that they caused.
  std::vector<uint32_t> LeftOut() const;

 private:
  struct Item {
    // Shared with the catalog and the other workers' plans, which drop it each at its own time.
    std::shared_ptr<const ModelVersion> model;
    bool tried = false;
    // In a row.
    int crashes = 0;
    int signals = 0;
    int chances = 0;
    TimePoint left_out_since{};

    bool left_out() const { return crashes >= kMostCrashes || signals >= kMostSignals; }
  };
  Item* Find(uint32_t handle);

  std::vector<Item> items_;
  std::optional<uint32_t> loading_;
};

}  // namespace tandem
