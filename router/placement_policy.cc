#include "router/placement_policy.h"

#include <algorithm>
#include <chrono>

namespace tandem {
namespace {

// Nothing is predicted further ahead.
constexpr Duration kHorizon = std::chrono::hours(1);
// A time is found to within so much.
constexpr Duration kResolution = std::chrono::microseconds(50);

int64_t RowsDoneBy(TimePoint now, TimePoint then, absl::Span<const PoolOutlook> pools) {
  int64_t rows = 0;
  for (const PoolOutlook& pool : pools) rows += RowsDoneBy(now, then, pool);
  return rows;
}

}  // namespace

int64_t RowsDoneBy(TimePoint now, TimePoint then, const PoolOutlook& pool, int64_t one) {
  if (!pool.cost->known()) return 0;
  const Duration full_time = std::max(pool.cost->Predict(pool.full_rows), Duration{1});
  int64_t rows = 0;
  for (const TimePoint free_at : pool.lanes_free_at) {
    const Duration left = then - std::max(now, free_at);
    if (left.count() <= 0) continue;
    int64_t of_lane = (left / full_time) * pool.full_rows;
    of_lane += std::min(pool.full_rows, pool.cost->RowsWithin(left % full_time));
    rows += of_lane - of_lane % one;
  }
  return rows;
}

Share ShareOf(TimePoint start, int64_t waiting, int64_t one, const PoolOutlook& self,
              absl::Span<const PoolOutlook> others) {
  const int64_t most = std::min(waiting, self.full_rows);
  if (!self.cost->known()) {
    const bool others_known = std::any_of(others.begin(), others.end(),
                                          [](const auto& other) { return other.cost->known(); });
    return {self.trying && others_known, most};
  }
  if (others.empty()) return {false, most};
  const int64_t least = std::min(one, most);
  const Duration least_time = self.cost->Predict(least);
  // What the others would have done by the end of a batch of so many rows.
  const auto done = [&](int64_t rows) {
    const TimePoint finish = start + self.cost->Predict(rows);
    int64_t total = 0;
    for (const PoolOutlook& other : others) {
      // At the same time: the faster one takes it; of equal ones each what the other leaves. Only
      // who ends the first request sooner is the faster one, and only whole requests count: else
      // two pools could leave it to each other.
      const bool faster = other.cost->Predict(least) < least_time;
      total += RowsDoneBy(start, finish - Duration{faster ? 0 : 1}, other, least);
    }
    return total;
  };
  // The larger the batch, the later it ends, and the more the others do until then.
  int64_t low = least;
  if (done(low) + low > waiting) return {true, most};
  int64_t high = most;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (done(middle) + middle <= waiting) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return {false, low};
}

TimePoint DoneAt(TimePoint now, int64_t rows, absl::Span<const PoolOutlook> pools) {
  Duration low{0};
  Duration high = kHorizon;
  if (RowsDoneBy(now, now + high, pools) < rows) return kNever;
  while (high - low > kResolution) {
    const Duration middle = low + (high - low) / 2;
    (RowsDoneBy(now, now + middle, pools) >= rows ? high : low) = middle;
  }
  return now + high;
}

}  // namespace tandem
