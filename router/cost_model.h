// Learns how long a batch takes: T(rows) = α + β·rows, for one model on one pool, from the batches
// that ran, and how far off that is. Weighted least squares that forget: a lasting change is learnt
// within about ten batches, a single slow batch moves the line little, a faster one much: times
// have a floor and outliers above it, and a model's first run is often far slower than all others.
// Value type, not thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "core/clock.h"

namespace tandem {

class CostModel {
 public:
  void Learn(int64_t rows, Duration time);

  // Whether there is enough to predict from.
  bool known() const { return samples_ >= kSamplesToTrust; }
  uint64_t samples() const { return samples_; }

  // Zero where nothing ran yet. While all batches had the same size, those of twice its rows are
  // taken as long as those, larger ones as proportionally longer.
  Duration Predict(int64_t rows) const;

  // Time within which nine batches of ten of that size end.
  Duration PredictLate(int64_t rows) const;

  // Rows of the largest batch that is predicted to take at most `time`; 0: not even one row.
  int64_t RowsWithin(Duration time) const;

  // What a share `q` of the latest batches did not exceed: their time over the predicted one. 1
  // where nothing ran yet.
  double ErrorQuantile(double q) const;

  // The line's parts. Zero where nothing ran yet.
  Duration alpha() const;
  Duration beta() const;
  // All batches had the same size, so that beta is a guess.
  bool is_of_one_size() const { return !has_slope_; }

 private:
  // The first run warms the model up, so it takes a second one to know.
  static constexpr uint64_t kSamplesToTrust = 2;
  static constexpr size_t kErrorBins = 160;

  double PredictNs(double rows) const;
  void LearnError(double factor);
  void FollowLateBin();

  uint64_t samples_ = 0;
  double mean_rows_ = 0;
  double mean_ns_ = 0;
  double variance_ = 0;
  double covariance_ = 0;
  double slope_ = 0;
  bool has_slope_ = false;
  // Of the latest batches: how much longer than predicted they took, on average.
  double bias_ = 0;
  // Weights of the errors by size, and of all; younger ones weigh more.
  std::array<double, kErrorBins> errors_{};
  double errors_weight_ = 0;
  double error_weight_ = 1;
  // The bin of the late errors' quantile, the weight of those behind it, and what it stands for.
  size_t late_bin_ = 0;
  double later_weight_ = 0;
  double late_factor_ = 1;
};

}  // namespace tandem
