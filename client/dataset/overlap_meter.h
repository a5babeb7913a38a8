// How long each pool was busy, and how long several were at the same time, from the times at which
// each model's run began and ended. Memory is bounded by what is under way. Not thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace tandem::client {

class OverlapMeter {
 public:
  struct PoolTime {
    // Seconds in which at least one request of the job ran there.
    double busy = 0;
    // The runs' seconds, added up.
    double sum = 0;
  };
  struct Result {
    std::map<std::string, PoolTime> pools;
    // Seconds in which at least one pool, and at least two, were busy.
    double any = 0;
    double several = 0;
  };

  // A run in `pool`, in seconds since any fixed time. What lies before the last Advance is not
  // counted.
  void Add(const std::string& pool, double start, double end);

  // Promises that no run will be added that starts before `time`: what lies before it is counted
  // and forgotten.
  void Advance(double time);

  // Counts the rest.
  Result Finish();

 private:
  struct Interval {
    double start;
    double end;
  };

  double counted_until_ = 0;
  std::map<std::string, std::vector<Interval>> open_;
  Result result_;
};

}  // namespace tandem::client
