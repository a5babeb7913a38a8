// Latencies counted in buckets that are narrow next to what they hold, as an HDR histogram does:
// any number of calls in fixed memory, quantiles that are at most 0.8 % too high.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace tandem::client {

// A value. Not thread-safe: each thread fills its own, and they are added up at the end.
class LatencyHistogram {
 public:
  LatencyHistogram();

  // Negative times count as 0.
  void Record(std::chrono::nanoseconds latency);
  void Add(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  // Exact. 0 where nothing was recorded.
  std::chrono::nanoseconds min() const;
  std::chrono::nanoseconds max() const { return max_; }
  std::chrono::nanoseconds mean() const;
  // The least latency that `quantile` (0 to 1) of the calls did not exceed. 0 where there are none.
  std::chrono::nanoseconds Quantile(double quantile) const;
  // Calls that took no longer, to the precision of the buckets.
  uint64_t CountUpTo(std::chrono::nanoseconds latency) const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  // In floating point: a sum of nanoseconds over days of calls would overflow.
  double sum_ns_ = 0;
  std::chrono::nanoseconds min_ = std::chrono::nanoseconds::max();
  std::chrono::nanoseconds max_{0};
};

}  // namespace tandem::client
