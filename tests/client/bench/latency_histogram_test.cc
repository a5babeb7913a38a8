#include "client/bench/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::nanoseconds;

TEST_CASE("An empty histogram tells zeros", "[bench]") {
  const LatencyHistogram histogram;
  CHECK(histogram.count() == 0);
  CHECK(histogram.min() == nanoseconds(0));
  CHECK(histogram.max() == nanoseconds(0));
  CHECK(histogram.mean() == nanoseconds(0));
  CHECK(histogram.Quantile(0.5) == nanoseconds(0));
}

TEST_CASE("Quantiles are those of the sorted latencies, at most 0.8 % too high", "[bench]") {
  std::mt19937_64 random(7);
  // From nanoseconds to hours.
  std::uniform_real_distribution<double> exponent(0, 43);
  std::vector<int64_t> sorted;
  LatencyHistogram histogram;
  for (int i = 0; i < 20000; ++i) {
    sorted.push_back(static_cast<int64_t>(std::exp2(exponent(random))));
    histogram.Record(nanoseconds(sorted.back()));
  }
  std::sort(sorted.begin(), sorted.end());
  CHECK(histogram.min() == nanoseconds(sorted.front()));
  CHECK(histogram.max() == nanoseconds(sorted.back()));
  for (const double quantile : {0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.9999, 1.0}) {
    const auto rank = static_cast<size_t>(std::max(1.0, std::ceil(quantile * 20000)));
    const auto exact = static_cast<double>(sorted[rank - 1]);
    const auto told = static_cast<double>(histogram.Quantile(quantile).count());
    INFO("quantile " << quantile << ": exact " << exact << ", told " << told);
    CHECK(told >= exact);
    CHECK(told <= exact * 1.008);
  }
}

TEST_CASE("Two histograms added tell what one of all would", "[bench]") {
  LatencyHistogram a;
  LatencyHistogram b;
  LatencyHistogram all;
  for (int i = 1; i <= 1000; ++i) {
    (i % 3 == 0 ? a : b).Record(nanoseconds(i * 1000));
    all.Record(nanoseconds(i * 1000));
  }
  a.Add(b);
  CHECK(a.count() == 1000);
  CHECK(a.min() == all.min());
  CHECK(a.max() == all.max());
  CHECK(a.mean() == nanoseconds(500500));
  for (const double quantile : {0.1, 0.5, 0.9})
    CHECK(a.Quantile(quantile) == all.Quantile(quantile));
}

TEST_CASE("Calls up to a latency are counted", "[bench]") {
  LatencyHistogram histogram;
  for (const int value : {0, 5, 100, 100, 200}) histogram.Record(nanoseconds(value));
  histogram.Record(nanoseconds(-3));
  CHECK(histogram.CountUpTo(nanoseconds(-1)) == 0);
  CHECK(histogram.CountUpTo(nanoseconds(0)) == 2);
  CHECK(histogram.CountUpTo(nanoseconds(99)) == 3);
  CHECK(histogram.CountUpTo(nanoseconds(100)) == 5);
  CHECK(histogram.CountUpTo(nanoseconds::max()) == 6);
}

TEST_CASE("The longest time that there is has a bucket", "[bench]") {
  LatencyHistogram histogram;
  histogram.Record(nanoseconds::max());
  CHECK(histogram.Quantile(0.5) == nanoseconds::max());
}

}  // namespace
}  // namespace tandem::client
