#include "backends/pool/hang_judge.h"

#include <utility>

namespace tandem {

void HangJudge::Watch(uint32_t lane, uint64_t batch, TimePoint now, std::optional<CpuWaits> waits) {
  if (waits.has_value()) watched_[lane] = {batch, now, *std::move(waits)};
}

HangJudge::Verdict HangJudge::Judge(uint32_t lane, uint64_t batch, TimePoint now,
                                    const std::optional<CpuWaits>& waits, const Overrun& overrun) {
  if (!waits.has_value() || overrun.ran >= overrun.budget * kMostBudgets) return Verdict::kHangs;
  const auto found = watched_.find(lane);
  if (found == watched_.end() || found->second.batch != batch) {
    Watch(lane, batch, now, waits);
    return Verdict::kUnknown;
  }
  const Duration watched_for = now - found->second.since;
  if (watched_for.count() <= 0) return Verdict::kUnknown;
  // As before it was watched, so since then.
  const double share = ToSeconds(LongestWait(found->second.waits, *waits)) / ToSeconds(watched_for);
  const bool had_budget = ToSeconds(overrun.ran) * (1 - share) >= ToSeconds(overrun.budget);
  return had_budget ? Verdict::kHangs : Verdict::kWaits;
}

std::set<uint32_t> LanesThatMayHang(const std::map<uint32_t, Duration>& ran, uint32_t lane) {
  std::set<uint32_t> lanes;
  const auto hung = ran.find(lane);
  if (hung == ran.end()) return lanes;
  for (const auto& [other, time] : ran) {
    if (time >= hung->second / 2) lanes.insert(other);
  }
  return lanes;
}

}  // namespace tandem
