#include "router/retry_policy.h"

namespace tandem {

AfterDeath NextAfterDeath(WorkerDeath death, DeathCount& deaths, bool is_probe) {
  switch (death) {
    case WorkerDeath::kForAnother:
      return ++deaths.for_others > kMostDeathsForOthers ? AfterDeath::kGiveUp
                                                        : AfterDeath::kRunAgain;
    case WorkerDeath::kFromOutside:
      return ++deaths.from_outside > 1 ? AfterDeath::kGiveUp : AfterDeath::kRunAgain;
    case WorkerDeath::kWhileLoading:
      return ++deaths.while_loading > 1 ? AfterDeath::kGiveUp : AfterDeath::kRunAgain;
    case WorkerDeath::kHung: {
      const bool is_proof = is_probe || deaths.is_suspect() || deaths.hung > 0;
      ++deaths.hung;
      return is_proof ? AfterDeath::kCondemn : AfterDeath::kRunAgain;
    }
    case WorkerDeath::kHungTogether:
      // The next time it may be alone in that.
      if (!is_probe && !deaths.is_suspect() && deaths.hung == 0) {
        ++deaths.hung;
        return AfterDeath::kRunAgain;
      }
      break;
    case WorkerDeath::kFromInside:
    case WorkerDeath::kNone:
      break;
  }
  const bool was_suspect = is_probe || deaths.is_suspect();
  ++deaths.from_inside;
  return was_suspect ? AfterDeath::kCondemn : AfterDeath::kRunAgain;
}

}  // namespace tandem
