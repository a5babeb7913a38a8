#include "router/execution_budget.h"

#include <algorithm>

namespace tandem {

Duration ExecutionBudget(Duration configured, Duration predicted) {
  if (configured.count() > 0) return configured;
  if (predicted.count() <= 0) return kFirstBudget;
  return std::max(kLeastBudget, predicted * kBudgetFactor);
}

}  // namespace tandem
