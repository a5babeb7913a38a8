#include "client/dataset/overlap_meter.h"

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

bool Near(double a, double b) { return a - b < 1e-9 && b - a < 1e-9; }

TEST_CASE("Runs at the same time count once for a pool, and as overlap between pools", "[client]") {
  OverlapMeter meter;
  meter.Add("cpu", 0, 2);
  meter.Add("cpu", 1, 3);
  meter.Add("gpu", 2.5, 4);
  meter.Add("gpu", 6, 7);
  OverlapMeter::Result result = meter.Finish();
  CHECK(Near(result.pools["cpu"].busy, 3));
  CHECK(Near(result.pools["cpu"].sum, 4));
  CHECK(Near(result.pools["gpu"].busy, 2.5));
  CHECK(Near(result.any, 5));
  CHECK(Near(result.several, 0.5));
}

TEST_CASE("Times are the same whether they are counted on the way or at the end", "[client]") {
  OverlapMeter late;
  OverlapMeter early;
  for (int i = 0; i < 500; ++i) {
    const double start = i * 0.1;
    const char* pool = i % 3 == 0 ? "cpu" : "gpu";
    late.Add(pool, start, start + 0.05 * (i % 7));
    early.Add(pool, start, start + 0.05 * (i % 7));
    early.Advance(start);
  }
  OverlapMeter::Result expected = late.Finish();
  OverlapMeter::Result result = early.Finish();
  CHECK(expected.several > 1);
  CHECK(Near(result.any, expected.any));
  CHECK(Near(result.several, expected.several));
  CHECK(Near(result.pools["cpu"].busy, expected.pools["cpu"].busy));
  CHECK(Near(result.pools["gpu"].busy, expected.pools["gpu"].busy));
}

}  // namespace
}  // namespace tandem::client
