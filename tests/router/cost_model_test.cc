#include "router/cost_model.h"

#include <algorithm>
#include <random>

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

TEST_CASE("With one size of batch, those beyond twice its rows are taken as longer in proportion",
          "[cost]") {
  CostModel cost;
  for (int i = 0; i < 5; ++i) cost.Learn(2, milliseconds(2));
  CHECK(cost.Predict(1) == milliseconds(2));
  CHECK(cost.Predict(4) == milliseconds(2));
  CHECK(cost.Predict(8) == milliseconds(4));
  CHECK(cost.alpha() + cost.beta() == milliseconds(2));
  CHECK(cost.RowsWithin(milliseconds(1)) == 0);
  CHECK(cost.RowsWithin(milliseconds(2)) == 4);
  CHECK(cost.RowsWithin(milliseconds(4)) == 8);
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

// Batches of 1 to 32 rows whose true time is known, off by a random factor.
class NoisyTruth {
 public:
  NoisyTruth(double alpha_us, double beta_us, double error)
      : alpha_us_(alpha_us), beta_us_(beta_us), factor_(1 - error, 1 + error) {}
  double TimeUs(int64_t rows) const { return alpha_us_ + beta_us_ * static_cast<double>(rows); }
  void Teach(CostModel& cost, int batches) {
    for (int i = 0; i < batches; ++i) {
      const int64_t rows = 1 + static_cast<int64_t>(random_() % 32);
      cost.Learn(rows, Duration{static_cast<int64_t>(1e3 * TimeUs(rows) * factor_(random_))});
    }
  }

 private:
  double alpha_us_;
  double beta_us_;
  std::mt19937_64 random_{7};
  std::uniform_real_distribution<double> factor_;
};

TEST_CASE("The line is found under noise, and the noise as well", "[cost]") {
  CostModel cost;
  NoisyTruth truth(4000, 250, 0.3);
  truth.Teach(cost, 2000);
  for (const int64_t rows : {1, 8, 32}) {
    CAPTURE(rows);
    CHECK(Micros(cost, rows) == Approx(truth.TimeUs(rows)).epsilon(0.15));
  }
  CHECK(cost.ErrorQuantile(0.5) == Approx(1.0).epsilon(0.1));
  CHECK(cost.ErrorQuantile(0.9) == Approx(1.24).epsilon(0.12));
  CHECK(ToMicroseconds(cost.PredictLate(8)) > 1.1 * Micros(cost, 8));
}

TEST_CASE("A steady model is predicted to within a few percent", "[cost]") {
  CostModel cost;
  NoisyTruth(4000, 250, 0.02).Teach(cost, 500);
  CHECK(cost.ErrorQuantile(0.99) < 1.06);
  CHECK(cost.ErrorQuantile(0.01) > 0.9);
  CHECK(cost.PredictLate(16) < cost.Predict(16) * 11 / 10);
}

TEST_CASE("A late batch is what nine of ten are not later than", "[cost]") {
  CostModel cost;
  NoisyTruth truth(4000, 250, 0.3);
  for (int i = 0; i < 5000; ++i) {
    truth.Teach(cost, 1);
    if (cost.samples() < 3) continue;
    const double late = ToMicroseconds(cost.PredictLate(8)) / ToMicroseconds(cost.Predict(8));
    REQUIRE(late == Approx(std::max(1.0, cost.ErrorQuantile(0.9))).epsilon(0.001));
  }
}

TEST_CASE("A slow drift is followed", "[cost]") {
  CostModel cost;
  for (int step = 0; step <= 100; ++step) {
    NoisyTruth(1000 + 10 * step, 100 + step, 0.1).Teach(cost, 20);
  }
  const NoisyTruth end(2000, 200, 0);
  for (const int64_t rows : {1, 32}) {
    CHECK(Micros(cost, rows) == Approx(end.TimeUs(rows)).epsilon(0.12));
  }
}

TEST_CASE("One batch of twenty that takes ten times as long does not move the line much",
          "[cost]") {
  CostModel cost;
  NoisyTruth truth(1000, 100, 0.05);
  for (int i = 0; i < 100; ++i) {
    truth.Teach(cost, 19);
    cost.Learn(16, microseconds(26'000));
  }
  CHECK(Micros(cost, 16) == Approx(truth.TimeUs(16)).epsilon(0.2));
  // It is seen, though.
  CHECK(cost.ErrorQuantile(0.99) > 2);
}

TEST_CASE("The rows that fit into a time are the inverse of the prediction", "[cost]") {
  CostModel cost;
  NoisyTruth(1000, 100, 0).Teach(cost, 200);
  CHECK(cost.RowsWithin(microseconds(500)) == 0);
  for (const int64_t rows : {1, 7, 30}) {
    CHECK(cost.RowsWithin(cost.Predict(rows) + microseconds(50)) == rows);
  }
  CHECK(ToMicroseconds(cost.alpha()) == Approx(1000).epsilon(0.05));
  CHECK(ToMicroseconds(cost.beta()) == Approx(100).epsilon(0.05));
}

}  // namespace
}  // namespace tandem
