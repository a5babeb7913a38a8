// What becomes of a request whose worker ended before it answered. Pure.
#pragma once

#include <cstdint>

#include "core/backend.h"

namespace tandem {

// The deaths of workers that one request was in.
struct DeathCount {
  // That were not for it: nothing but a longer wait.
  uint8_t for_others = 0;
  // By a signal: no sign that the request was the reason.
  uint8_t from_outside = 0;
  // By a crash in a load or in a batch, or by a second hang of several.
  uint8_t while_loading = 0;
  uint8_t from_inside = 0;
  // Since the request did not come to an end, or one that ran in a batch with it.
  uint8_t hung = 0;

  // The request may have been the reason of a crash: it is to run with nothing beside it, so that
  // the next one proves it. What hangs need not: it is told apart from what runs beside it.
  bool is_suspect() const { return while_loading + from_inside > 0; }
};

// Deaths that were not for it that a request waits through. A bound, for workers that end all the
// time.
inline constexpr int kMostDeathsForOthers = 20;

enum class AfterDeath {
  kRunAgain,
  // It has had its second run.
  kGiveUp,
  // It has ended two workers.
  kCondemn,
};

// Counts the death, which is one, and tells what comes next. `is_probe`: one crash or hang proves
// enough.
AfterDeath NextAfterDeath(WorkerDeath death, DeathCount& deaths, bool is_probe = false);

}  // namespace tandem
