#include "simulation/fluid_bound.h"

#include <algorithm>
#include <queue>
#include <vector>

namespace tandem::simulation {
namespace {

struct Waiting {
  TimePoint deadline;
  double seconds_left;

  bool operator<(const Waiting& other) const { return deadline > other.deadline; }
};

}  // namespace

double FluidBound(const ArrivalTrace& trace, double rate) {
  const double seconds_each = 1 / rate;
  std::priority_queue<Waiting> waiting;
  double done_seconds = 0;
  TimePoint now = kTraceStart;
  const auto advance = [&](TimePoint until) {
    double left = ToSeconds(until - now);
    while (left > 0 && !waiting.empty()) {
      Waiting first = waiting.top();
      waiting.pop();
      const double in_time = ToSeconds(first.deadline - until) + left;
      const double run = std::min({first.seconds_left, left, in_time});
      if (run <= 0) continue;
      done_seconds += run;
      left -= run;
      first.seconds_left -= run;
      if (first.seconds_left > 0 && run < in_time) waiting.push(first);
    }
    now = until;
  };
  TimePoint last = kTraceStart;
  for (const Arrival& arrival : trace) {
    advance(arrival.at);
    waiting.push({arrival.deadline, seconds_each});
    last = std::max(last, arrival.deadline);
  }
  advance(last);
  return done_seconds * rate;
}

}  // namespace tandem::simulation
