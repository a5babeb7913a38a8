// Sends rows to a server. Thread-safe.
#pragma once

#include "client/dataset/predictor.h"
#include "client/inference_client.h"
#include "client/predict_plan.h"

namespace tandem::client {

// `client` and `plan` outlive it.
class GrpcPredictor : public Predictor {
 public:
  GrpcPredictor(InferenceClient& client, const PredictPlan& plan) : client_(client), plan_(plan) {}

  void Predict(absl::Span<const Row> rows, Callback done) override;
  bool CanJoin(const Row& first, const Row& second) const override;

 private:
  InferenceClient& client_;
  const PredictPlan& plan_;
};

}  // namespace tandem::client
