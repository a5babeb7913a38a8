#include "router/cost_model.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

double Micros(const CostModel& cost, int64_t rows) { return ToMicroseconds(cost.Predict(rows)); }

TEST_CASE("A cost model knows after two batches", "[cost]") {
  CostModel cost;
  CHECK(cost.Predict(1) == Duration{0});
  cost.Learn(1, milliseconds(1));
  CHECK_FALSE(cost.known());
  cost.Learn(1, milliseconds(1));
  CHECK(cost.known());
  CHECK(cost.Predict(1) == milliseconds(1));
}

TEST_CASE("A cost model finds the start-up time and the time of a row", "[cost]") {
  CostModel cost;
  for (int i = 0; i < 200; ++i) {
    const int64_t rows = 1 + i % 16;
    cost.Learn(rows, microseconds(100 + 20 * rows));
  }
  CHECK(Micros(cost, 1) == Approx(120).epsilon(0.05));
  CHECK(Micros(cost, 16) == Approx(420).epsilon(0.05));
  CHECK(Micros(cost, 32) == Approx(740).epsilon(0.1));
}

TEST_CASE("A slow first run is soon forgotten", "[cost]") {
  CostModel cost;
  cost.Learn(1, milliseconds(500));
  for (int i = 0; i < 8; ++i) cost.Learn(1, milliseconds(1));
  CHECK(Micros(cost, 1) < 3000);
}

TEST_CASE("A single slow batch moves the prediction little", "[cost]") {
  CostModel cost;
  for (int i = 0; i < 50; ++i) cost.Learn(1, milliseconds(1));
  cost.Learn(1, std::chrono::seconds(10));
  CHECK(Micros(cost, 1) < 1300);
}

TEST_CASE("A lasting change is learnt", "[cost]") {
  CostModel cost;
  for (int i = 0; i < 50; ++i) cost.Learn(1, milliseconds(1));
  for (int i = 0; i < 60; ++i) cost.Learn(1, milliseconds(8));
  CHECK(Micros(cost, 1) == Approx(8000).epsilon(0.1));
}

TEST_CASE("With one size of batch, larger ones are taken as longer in proportion", "[cost]") {
  CostModel cost;
  for (int i = 0; i < 5; ++i) cost.Learn(2, milliseconds(2));
  CHECK(cost.Predict(1) == milliseconds(2));
  CHECK(cost.Predict(8) == milliseconds(8));
}

TEST_CASE("A slope once learnt stands while all batches have one size", "[cost]") {
  CostModel cost;
  for (int i = 0; i < 100; ++i) cost.Learn(1 + i % 8, microseconds(100 + 50 * (1 + i % 8)));
  for (int i = 0; i < 2000; ++i) cost.Learn(1, microseconds(150));
  CHECK(Micros(cost, 8) == Approx(500).epsilon(0.1));
}

TEST_CASE("A prediction is never negative", "[cost]") {
  CostModel cost;
  // Larger batches that take less time: nonsense, but it may be measured.
  for (int i = 0; i < 20; ++i) cost.Learn(1 + i % 2 * 7, microseconds(i % 2 == 0 ? 1000 : 10));
  for (const int64_t rows : {1, 8, 1000}) CHECK(cost.Predict(rows).count() > 0);
}

}  // namespace
}  // namespace tandem
