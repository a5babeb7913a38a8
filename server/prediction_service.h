// tandem.v1.PredictionService. Thread-safe. Borrows the router, the clock, the state and the
// ledger of answers, which outlive the gRPC server.
#pragma once

#include <utility>

#include "core/clock.h"
#include "router/router.h"
#include "server/call.h"
#include "server/pool_report.h"
#include "server/serving_state.h"
#include "server/task_thread.h"
#include "server/unsent_answers.h"
#include "tandem.pb.h"

namespace tandem::server {

class PredictionService {
 public:
  PredictionService(const Clock& clock, Router& router, const ServingState& state,
                    UnsentAnswers& unsent, PoolReporter pools)
      : clock_(clock),
        router_(router),
        state_(state),
        unsent_(unsent),
        pools_(std::move(pools)),
        started_(clock.Now()) {}

  // This outlives the calls.
  void AddTo(Call::Methods& methods);

 private:
  v1::ServerStatusResponse Status() const;

  const Clock& clock_;
  Router& router_;
  const ServingState& state_;
  UnsentAnswers& unsent_;
  const PoolReporter pools_;
  const TimePoint started_;
  // Combines what is large.
  TaskThread combiner_;
};

}  // namespace tandem::server
