// `tandem predict --dataset`: wires reader, predictor, writer and progress, and runs the job.
#pragma once

#include "client/inference_client.h"
#include "client/predict_options.h"
#include "client/predict_plan.h"

namespace tandem::client {

// Returns the exit code.
int RunDatasetJob(const PredictOptions& options, const PredictPlan& plan, InferenceClient& client);

}  // namespace tandem::client
