#include "client/bench/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace tandem::client {
namespace {

using std::chrono::nanoseconds;

// Each power of two is cut into so many buckets of equal width; below it every value has its own.
constexpr int kPrecisionBits = 7;
constexpr uint64_t kBucketsOfPower = uint64_t{1} << kPrecisionBits;
// An int64 of nanoseconds has 63 bits.
constexpr size_t kBuckets = (63 - kPrecisionBits + 1) * kBucketsOfPower;

size_t BucketOf(nanoseconds latency) {
  const auto value = static_cast<uint64_t>(std::max<int64_t>(latency.count(), 0));
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - kPrecisionBits - 1);
  return static_cast<size_t>(static_cast<uint64_t>(shift) * kBucketsOfPower + (value >> shift));
}

// The highest latency that falls into the bucket.
nanoseconds UpperEdge(size_t bucket) {
  if (bucket < 2 * kBucketsOfPower) return nanoseconds(static_cast<int64_t>(bucket));
  const uint64_t shift = bucket / kBucketsOfPower - 1;
  const uint64_t value = bucket - shift * kBucketsOfPower;
  return nanoseconds(static_cast<int64_t>(((value + 1) << shift) - 1));
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(kBuckets) {}

void LatencyHistogram::Record(nanoseconds latency) {
  latency = std::max(latency, nanoseconds(0));
  ++buckets_[BucketOf(latency)];
  ++count_;
  sum_ns_ += static_cast<double>(latency.count());
  min_ = std::min(min_, latency);
  max_ = std::max(max_, latency);
}

void LatencyHistogram::Add(const LatencyHistogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

nanoseconds LatencyHistogram::min() const { return count_ == 0 ? nanoseconds(0) : min_; }

nanoseconds LatencyHistogram::mean() const {
  if (count_ == 0) return nanoseconds(0);
  return nanoseconds(std::llround(sum_ns_ / static_cast<double>(count_)));
}

nanoseconds LatencyHistogram::Quantile(double quantile) const {
  if (count_ == 0) return nanoseconds(0);
  const double wanted = std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count_));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_);
  uint64_t seen = 0;
  size_t bucket = 0;
  while (seen + buckets_[bucket] < rank) seen += buckets_[bucket++];
  return std::clamp(UpperEdge(bucket), min_, max_);
}

uint64_t LatencyHistogram::CountUpTo(nanoseconds latency) const {
  if (latency < nanoseconds(0)) return 0;
  uint64_t calls = 0;
  const size_t last = BucketOf(latency);
  for (size_t i = 0; i <= last; ++i) calls += buckets_[i];
  return calls;
}

}  // namespace tandem::client
