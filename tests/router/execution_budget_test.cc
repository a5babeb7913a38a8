#include "router/execution_budget.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("A model's own limit is the budget, whatever was learnt", "[budget]") {
  CHECK(ExecutionBudget(milliseconds(300), Duration{0}) == milliseconds(300));
  CHECK(ExecutionBudget(milliseconds(300), seconds(5)) == milliseconds(300));
}

TEST_CASE("Without a limit the budget is generous, and grows with the model", "[budget]") {
  CHECK(ExecutionBudget(Duration{0}, Duration{0}) == kFirstBudget);
  CHECK(ExecutionBudget(Duration{0}, microseconds(50)) == kLeastBudget);
  CHECK(ExecutionBudget(Duration{0}, milliseconds(499)) == kLeastBudget);
  CHECK(ExecutionBudget(Duration{0}, seconds(4)) == seconds(80));
}

}  // namespace
}  // namespace tandem
