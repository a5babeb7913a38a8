#include "backends/pool/restart_backoff.h"

#include <algorithm>

namespace tandem {

Duration RestartBackoff::Next(Duration healthy_for) {
  if (healthy_for >= kHealthy) step_ = kFirst;
  std::uniform_int_distribution<Duration::rep> wait(step_.count() / 2, step_.count());
  const Duration result(wait(random_));
  step_ = std::min(step_ * 2, kLongest);
  return result;
}

}  // namespace tandem
