#include "bench/latencies.h"

#include <algorithm>
#include <cmath>

namespace tandem::bench {

void Latencies::Merge(const Latencies& other) {
  values_.insert(values_.end(), other.values_.begin(), other.values_.end());
  sorted_ = false;
}

double Latencies::QuantileMicros(double quantile) {
  if (values_.empty()) return 0;
  if (!sorted_) std::sort(values_.begin(), values_.end());
  sorted_ = true;
  const double rank = std::ceil(quantile * static_cast<double>(values_.size()));
  const size_t index = static_cast<size_t>(std::max(rank, 1.0)) - 1;
  return std::chrono::duration<double, std::micro>(values_[std::min(index, values_.size() - 1)])
      .count();
}

}  // namespace tandem::bench
