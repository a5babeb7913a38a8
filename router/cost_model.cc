#include "router/cost_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tandem {
namespace {

// Share of a new sample once there are many.
constexpr double kWeight = 0.03;
// The same while the latest batches tell that the time has changed.
constexpr double kWeightOfChange = 0.25;
// Share of the latest batch in the average that tells so, and the average that does.
constexpr double kWeightOfBias = 0.2;
constexpr double kBiasOfChange = 0.3;
// Share of a sample that is less than half of what was expected.
constexpr double kWeightOfGain = 0.6;
// A sample counts as at most so many times what was expected.
constexpr double kLargestSurprise = 3.0;
// Spread of the rows, over their mean, at which the samples tell as much of the slope as what was
// known of it before.
constexpr double kSpreadToTrust = 0.05;

// Up to so many times the rows of the only size that ran are expected to take no longer than that.
constexpr double kRowsToTry = 2.0;

// The bins of errors: the first ends at this factor, each other a step above the one before it.
constexpr double kFirstError = 0.25;
constexpr double kErrorStep = 1.02;
// An error's weight over that of the one before it: about the latest 100 count.
constexpr double kErrorGrowth = 1.01;
constexpr double kErrorWeightLimit = 1e9;
// While there are few errors, these stand for them: one right, one late.
constexpr double kAssumedErrors[] = {1.0, 1.1};
constexpr double kLateQuantile = 0.9;

size_t BinOf(double factor, size_t bins) {
  const double bin = std::ceil(std::log(factor / kFirstError) / std::log(kErrorStep));
  return static_cast<size_t>(std::clamp(bin, 0.0, static_cast<double>(bins - 1)));
}

double EndOf(size_t bin) { return kFirstError * std::pow(kErrorStep, static_cast<double>(bin)); }

}  // namespace

void CostModel::Learn(int64_t rows, Duration time) {
  const double x = static_cast<double>(rows);
  double y = std::max<double>(static_cast<double>(time.count()), 1.0);
  ++samples_;
  if (samples_ == 1) {
    mean_rows_ = x;
    mean_ns_ = y;
    for (const double factor : kAssumedErrors) LearnError(factor);
    return;
  }
  const double expected = PredictNs(x);
  const bool settled = samples_ > kSamplesToTrust;
  if (settled) LearnError(y / expected);
  double weight = std::max(kWeight, 1.0 / static_cast<double>(samples_));
  if (std::abs(bias_) > kBiasOfChange) weight = std::max(weight, kWeightOfChange);
  if (y < expected / 2) {
    weight = std::max(weight, kWeightOfGain);
  } else if (settled) {
    y = std::min(y, expected * kLargestSurprise);
  }
  bias_ += kWeightOfBias * (y / expected - 1 - bias_);
  const double dx = x - mean_rows_;
  const double dy = y - mean_ns_;
  mean_rows_ += weight * dx;
  mean_ns_ += weight * dy;
  variance_ = (1 - weight) * (variance_ + weight * dx * dx);
  covariance_ = (1 - weight) * (covariance_ + weight * dx * dy);
  // What was known of the slope weighs against what the samples tell of it, which is little while
  // they are of nearly the same size.
  const double known = has_slope_ ? std::pow(kSpreadToTrust * mean_rows_, 2) : 0.0;
  if (variance_ + known <= 0) return;
  // Between "each row for itself" and "rows are free".
  slope_ =
      std::clamp((covariance_ + known * slope_) / (variance_ + known), 0.0, mean_ns_ / mean_rows_);
  has_slope_ = true;
}

void CostModel::LearnError(double factor) {
  const size_t bin = BinOf(factor, kErrorBins);
  errors_[bin] += error_weight_;
  errors_weight_ += error_weight_;
  if (bin > late_bin_) later_weight_ += error_weight_;
  error_weight_ *= kErrorGrowth;
  if (error_weight_ > kErrorWeightLimit) {
    for (double& weight : errors_) weight /= error_weight_;
    errors_weight_ /= error_weight_;
    later_weight_ /= error_weight_;
    error_weight_ = 1;
  }
  FollowLateBin();
}

// One error moves it by little, so that this costs less than to look for it in all bins.
void CostModel::FollowLateBin() {
  const size_t before = late_bin_;
  const double later = (1 - kLateQuantile) * errors_weight_;
  while (late_bin_ + 1 < kErrorBins && later_weight_ > later) later_weight_ -= errors_[++late_bin_];
  while (late_bin_ > 0 && later_weight_ + errors_[late_bin_] <= later) {
    later_weight_ += errors_[late_bin_--];
  }
  if (late_bin_ != before) late_factor_ = std::max(1.0, EndOf(late_bin_));
}

double CostModel::ErrorQuantile(double q) const {
  if (errors_weight_ == 0) return 1.0;
  // From above, where the quantiles that are asked for lie.
  double left = (1 - q) * errors_weight_;
  size_t bin = kErrorBins - 1;
  while (bin > 0 && errors_[bin] <= left) left -= errors_[bin--];
  return EndOf(bin);
}

Duration CostModel::Predict(int64_t rows) const {
  if (samples_ == 0) return Duration{0};
  return Duration{static_cast<int64_t>(PredictNs(static_cast<double>(rows)))};
}

Duration CostModel::PredictLate(int64_t rows) const {
  if (samples_ == 0) return Duration{0};
  return Duration{static_cast<int64_t>(PredictNs(static_cast<double>(rows)) * late_factor_)};
}

int64_t CostModel::RowsWithin(Duration time) const {
  if (samples_ == 0 || time < Predict(1)) return 0;
  constexpr double kMost = std::numeric_limits<int32_t>::max();
  const double ns = static_cast<double>(time.count());
  double rows = kMost;
  if (!has_slope_) {
    rows = kRowsToTry * ns * mean_rows_ / mean_ns_;
  } else if (slope_ > 0) {
    rows = mean_rows_ + (ns - mean_ns_) / slope_;
  }
  const auto whole = static_cast<int64_t>(std::clamp(rows, 1.0, kMost));
  // The division may have been rounded up.
  return whole > 1 && Predict(whole) > time ? whole - 1 : whole;
}

Duration CostModel::beta() const {
  const double slope = has_slope_ ? slope_ : samples_ > 0 ? mean_ns_ / mean_rows_ / kRowsToTry : 0;
  return Duration{static_cast<int64_t>(slope)};
}

Duration CostModel::alpha() const { return Predict(1) - beta(); }

// With one size alone, smaller batches are not taken as shorter; nor are those of up to twice its
// rows as longer, since a size that is expected to be late is never tried.
double CostModel::PredictNs(double rows) const {
  if (!has_slope_) return mean_ns_ * std::max(1.0, rows / mean_rows_ / kRowsToTry);
  return std::max(1.0, mean_ns_ + slope_ * (rows - mean_rows_));
}

}  // namespace tandem
