// `tandem predict --dataset`: wires reader, predictor, writer and progress, and runs the job.
#pragma once

#include "client/dataset/signal_watcher.h"
#include "client/inference_client.h"
#include "client/predict_options.h"
#include "client/predict_plan.h"

namespace tandem::client {

// Returns the exit code. `signals` was made before the client, whose threads must not take them.
int RunDatasetJob(const PredictOptions& options, const PredictPlan& plan, InferenceClient& client,
                  SignalWatcher& signals);

}  // namespace tandem::client
