#include "backends/pool/restart_backoff.h"

#include <algorithm>

namespace tandem {

Duration RestartBackoff::Next(Duration healthy_for, bool crashed) {
  if (healthy_for >= kHealthy) step_ = kFirst;
  if (healthy_for >= kServed) step_ = std::min(step_, std::max(kFirst, healthy_for / 4));
  const Duration step = crashed ? step_ : std::min(step_, kLongestWithoutCrash);
  std::uniform_int_distribution<Duration::rep> wait(step.count() / 2, step.count());
  const Duration result(wait(random_));
  // A crash loop stays one, whatever happens between two crashes.
  step_ = std::max(step_, std::min(step_ * 2, crashed ? kLongest : kLongestWithoutCrash));
  return result;
}

}  // namespace tandem
