#include "router/retry_policy.h"

namespace tandem {

AfterDeath NextAfterDeath(WorkerDeath death, DeathCount& deaths, bool is_probe) {
  switch (death) {
    case WorkerDeath::kBeforeRun:
      return ++deaths.before_run > kMostDeathsBeforeRun ? AfterDeath::kGiveUp
                                                        : AfterDeath::kRunAgain;
    case WorkerDeath::kFromOutside:
      return ++deaths.from_outside > 1 ? AfterDeath::kGiveUp : AfterDeath::kRunAgain;
    case WorkerDeath::kWhileLoading:
      return ++deaths.while_loading > 1 ? AfterDeath::kGiveUp : AfterDeath::kRunAgain;
    case WorkerDeath::kFromInside:
    case WorkerDeath::kNone:
      break;
  }
  const bool was_suspect = is_probe || deaths.is_suspect();
  ++deaths.from_inside;
  return was_suspect ? AfterDeath::kCondemn : AfterDeath::kRunAgain;
}

}  // namespace tandem
