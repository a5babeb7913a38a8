#include "backends/worker/compiled_plan.h"

#include <algorithm>
#include <limits>
#include <map>

namespace tandem::worker {
namespace {

// The time of a run by its rows, from one or two sizes that were timed: a line through them.
class Line {
 public:
  explicit Line(const std::map<int64_t, double>& timed) {
    if (timed.empty()) return;
    const auto [rows, time] = *timed.rbegin();
    per_row_ = time / static_cast<double>(rows);
    if (timed.size() == 1) return;
    const auto [fewer, shorter] = *timed.begin();
    per_row_ = std::max(0.0, (time - shorter) / static_cast<double>(rows - fewer));
    constant_ = std::max(0.0, shorter - per_row_ * static_cast<double>(fewer));
  }

  double operator()(int64_t rows) const { return constant_ + per_row_ * static_cast<double>(rows); }

 private:
  double constant_ = 0;
  double per_row_ = 1;
};

// What each file takes, in nanoseconds; in rows where one of them was not timed.
struct FileTimes {
  std::map<uint32_t, double> fixed;
  Line any{{}};
};

FileTimes TimesOf(const std::vector<uint32_t>& fixed, bool has_any,
                  const std::vector<TimedRun>& runs) {
  std::map<int64_t, double> shortest;
  for (const TimedRun& run : runs) {
    const auto time = static_cast<double>(run.time.count());
    const auto [known, is_new] = shortest.emplace(run.rows, time);
    if (!is_new) known->second = std::min(known->second, time);
  }
  FileTimes times;
  for (const uint32_t size : fixed) {
    if (const auto timed = shortest.extract(size)) times.fixed[size] = timed.mapped();
  }
  if (times.fixed.size() == fixed.size() && has_any == !shortest.empty()) {
    times.any = Line(shortest);
  } else {
    for (const uint32_t size : fixed) times.fixed[size] = size;
  }
  return times;
}

}  // namespace

CompiledPlan::CompiledPlan(const std::vector<uint32_t>& fixed, bool has_any, int64_t most,
                           const std::vector<TimedRun>& runs) {
  const FileTimes times = TimesOf(fixed, has_any, runs);
  // The best of fewer rows make the best of more.
  std::vector<double> best{0};
  first_.resize(1);
  for (int64_t rows = 1; rows <= most; ++rows) {
    CompiledPart first;
    double time = std::numeric_limits<double>::infinity();
    const auto consider = [&](CompiledPart part, double takes) {
      if (takes >= time) return;
      first = part;
      time = takes;
    };
    if (has_any) consider({0, rows}, times.any(rows));
    for (const auto& [size, takes] : times.fixed) {
      if (size == rows) {
        first = {size, rows};
        time = takes;
        break;
      }
      const int64_t done = std::min<int64_t>(size, rows);
      consider({size, done}, takes + best[rows - done]);
    }
    first_.push_back(first);
    best.push_back(time);
  }
}

std::vector<CompiledPart> CompiledPlan::PartsOf(int64_t rows) const {
  std::vector<CompiledPart> parts;
  while (rows > 0) {
    parts.push_back(first_[rows]);
    rows -= parts.back().rows;
  }
  return parts;
}

}  // namespace tandem::worker
