// Latencies of the calls of a load, and what is told of them. A value; not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace tandem::bench {

class Latencies {
 public:
  void Add(std::chrono::nanoseconds latency) { sorted_ = false, values_.push_back(latency); }
  void Merge(const Latencies& other);

  size_t count() const { return values_.size(); }

  // The smallest latency that `quantile` (0 to 1) of the calls did not exceed, in microseconds. 0
  // where there are none.
  double QuantileMicros(double quantile);

 private:
  std::vector<std::chrono::nanoseconds> values_;
  bool sorted_ = true;
};

}  // namespace tandem::bench
