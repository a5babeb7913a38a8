// Learns how long a batch takes: T(rows) = α + β·rows, for one model on one pool, from the batches
// that ran. Exponentially weighted least squares. A single slow batch moves it little, a faster one
// much: times have a floor and outliers above it, and a model's first run is often far slower than
// all others. Value type, not thread-safe.
#pragma once

#include <cstdint>

#include "core/clock.h"

namespace tandem {

class CostModel {
 public:
  void Learn(int64_t rows, Duration time);

  // Whether there is enough to predict from.
  bool known() const { return samples_ >= kSamplesToTrust; }

  // Zero where nothing ran yet. While all batches had the same size, larger ones are taken as
  // proportionally longer.
  Duration Predict(int64_t rows) const;

 private:
  // The first run warms the model up, so it takes a second one to know.
  static constexpr uint64_t kSamplesToTrust = 2;

  double PredictNs(double rows) const;

  uint64_t samples_ = 0;
  double mean_rows_ = 0;
  double mean_ns_ = 0;
  double variance_ = 0;
  double covariance_ = 0;
  double slope_ = 0;
  bool has_slope_ = false;
};

}  // namespace tandem
