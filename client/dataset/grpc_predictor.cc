#include "client/dataset/grpc_predictor.h"

#include <utility>
#include <vector>

namespace tandem::client {

void GrpcPredictor::Predict(absl::Span<const Row> rows, Callback done) {
  std::vector<PredictPlan::RowInputs> inputs;
  inputs.reserve(rows.size());
  for (const Row& row : rows) inputs.push_back(row.inputs);
  absl::StatusOr<v1::PredictRequest> request = plan_.Build(inputs);
  if (!request.ok()) {
    std::move(done)(request.status());
    return;
  }
  client_.PredictAsync(
      *std::move(request),
      [done = std::move(done)](absl::StatusOr<v1::PredictResponse> response) mutable {
        if (!response.ok()) {
          std::move(done)(response.status());
        } else {
          std::move(done)(DecodePredictResponse(*response));
        }
      });
}

bool GrpcPredictor::CanJoin(const Row& first, const Row& second) const {
  return plan_.CanJoin(first.inputs, second.inputs);
}

}  // namespace tandem::client
