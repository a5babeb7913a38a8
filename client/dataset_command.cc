#include "client/dataset_command.h"

#include "client/exit_code.h"
namespace tandem::client {
int RunDatasetJob(const PredictOptions&, const PredictPlan&, InferenceClient&) {
  return ReportUsage(absl::UnimplementedError("--dataset is not built in yet"));
}
}  // namespace tandem::client
