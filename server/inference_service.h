// The Open Inference Protocol v2 with Triton's extensions. Thread-safe. Borrows the router, the
// clock, the state, the control and the ledger of answers, which outlive the gRPC server.
#pragma once

#include "core/clock.h"
#include "router/router.h"
#include "server/call.h"
#include "server/inference_queries.h"
#include "server/model_control.h"
#include "server/serving_state.h"
#include "server/unsent_answers.h"

namespace tandem::server {

class InferenceService {
 public:
  InferenceService(const Clock& clock, Router& router, const ServingState& state,
                   ModelControl& models, UnsentAnswers& unsent)
      : clock_(clock),
        router_(router),
        state_(state),
        models_(models),
        unsent_(unsent),
        queries_(router, state) {}

  // This outlives the calls.
  void AddTo(Call::Methods& methods);

 private:
  template <typename Request>
  Call::MakeResponder Ask() const;
  // With what clients have unloaded, which the router does not know any more.
  absl::StatusOr<inference::RepositoryIndexResponse> Index(
      const inference::RepositoryIndexRequest& request) const;

  const Clock& clock_;
  Router& router_;
  const ServingState& state_;
  ModelControl& models_;
  UnsentAnswers& unsent_;
  const InferenceQueries queries_;
};

}  // namespace tandem::server
