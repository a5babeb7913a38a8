#include "router/placement_policy.h"

#include <algorithm>

namespace tandem {

int64_t RowsToLeave(TimePoint now, const PoolOutlook& self, absl::Span<const PoolOutlook> others) {
  if (!self.known) {
    const bool others_known = std::any_of(others.begin(), others.end(),
                                          [](const PoolOutlook& other) { return other.known; });
    return self.trying && others_known ? kAllRows : 0;
  }
  const TimePoint finish = now + self.batch_time;
  int64_t rows = 0;
  for (const PoolOutlook& other : others) {
    if (!other.known || other.batch_time >= self.batch_time) continue;
    const Duration step = std::max(other.full_batch_time, Duration{1});
    for (const TimePoint free_at : other.lanes_free_at) {
      const Duration left = finish - std::max(now, free_at);
      if (left.count() <= 0) continue;
      rows += (left / step) * other.full_batch_rows;
      // A line shorter than a full batch is finished sooner.
      if (left % step >= other.batch_time) rows += other.batch_rows;
    }
  }
  return rows;
}

}  // namespace tandem
