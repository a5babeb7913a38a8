#include "router/cost_model.h"

#include <algorithm>

namespace tandem {
namespace {

// Share of a new sample once there are many.
constexpr double kWeight = 0.1;
// Share of a sample that is less than half of what was expected.
constexpr double kWeightOfGain = 0.6;
// A sample counts as at most so many times what was expected.
constexpr double kLargestSurprise = 3.0;
// Variance of the rows below which the slope is not computed anew.
constexpr double kLeastVariance = 1e-6;

}  // namespace

void CostModel::Learn(int64_t rows, Duration time) {
  const double x = static_cast<double>(rows);
  double y = std::max<double>(static_cast<double>(time.count()), 1.0);
  ++samples_;
  if (samples_ == 1) {
    mean_rows_ = x;
    mean_ns_ = y;
    return;
  }
  const double expected = PredictNs(x);
  double weight = std::max(kWeight, 1.0 / static_cast<double>(samples_));
  if (y < expected / 2) {
    weight = std::max(weight, kWeightOfGain);
  } else if (samples_ > kSamplesToTrust) {
    y = std::min(y, expected * kLargestSurprise);
  }
  const double dx = x - mean_rows_;
  const double dy = y - mean_ns_;
  mean_rows_ += weight * dx;
  mean_ns_ += weight * dy;
  variance_ = (1 - weight) * (variance_ + weight * dx * dx);
  covariance_ = (1 - weight) * (covariance_ + weight * dx * dy);
  // With one size of batch alone the two fade together, and the last slope stands.
  if (variance_ > kLeastVariance) {
    // Between "each row for itself" and "rows are free".
    slope_ = std::clamp(covariance_ / variance_, 0.0, mean_ns_ / mean_rows_);
    has_slope_ = true;
  }
}

Duration CostModel::Predict(int64_t rows) const {
  if (samples_ == 0) return Duration{0};
  return Duration{static_cast<int64_t>(PredictNs(static_cast<double>(rows)))};
}

double CostModel::PredictNs(double rows) const {
  if (!has_slope_) return mean_ns_ * std::max(1.0, rows / mean_rows_);
  return std::max(1.0, mean_ns_ + slope_ * (rows - mean_rows_));
}

}  // namespace tandem
