#include "client/dataset/overlap_meter.h"

#include <algorithm>
#include <limits>

namespace tandem::client {

void OverlapMeter::Add(const std::string& pool, double start, double end) {
  if (end < start) return;
  result_.pools[pool].sum += end - start;
  start = std::max(start, counted_until_);
  if (end > start) open_[pool].push_back({start, end});
}

void OverlapMeter::Advance(double time) {
  if (time <= counted_until_) return;
  // Each pool's runs before `time` as changes of its own number of runs, in order of time.
  struct Change {
    double time;
    const std::string* pool;
    int step;
  };
  std::vector<Change> changes;
  for (auto& [pool, intervals] : open_) {
    std::vector<Interval> later;
    for (const Interval& interval : intervals) {
      if (interval.start < time) {
        changes.push_back({interval.start, &pool, 1});
        changes.push_back({std::min(interval.end, time), &pool, -1});
      }
      if (interval.end > time) later.push_back({std::max(interval.start, time), interval.end});
    }
    intervals = std::move(later);
  }
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.time < b.time; });
  std::map<const std::string*, int> running;
  double previous = 0;
  for (const Change& change : changes) {
    const double passed = change.time - previous;
    int busy = 0;
    for (const auto& [pool, count] : running) {
      if (count <= 0) continue;
      ++busy;
      result_.pools[*pool].busy += passed;
    }
    if (busy >= 1) result_.any += passed;
    if (busy >= 2) result_.several += passed;
    running[change.pool] += change.step;
    previous = change.time;
  }
  counted_until_ = time;
}

OverlapMeter::Result OverlapMeter::Finish() {
  Advance(std::numeric_limits<double>::infinity());
  return result_;
}

}  // namespace tandem::client
