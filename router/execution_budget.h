// How long a batch may run before its worker is taken to hang and is ended. Pure.
//
// A client's deadline does not shorten it: whoever asks for an answer within a millisecond must not
// be able to end workers.
#pragma once

#include "core/clock.h"

namespace tandem {

// Without experience.
inline constexpr Duration kFirstBudget = std::chrono::seconds(60);
// With experience: so many times what was predicted, but not less than the least.
inline constexpr int kBudgetFactor = 20;
inline constexpr Duration kLeastBudget = std::chrono::seconds(10);

// `configured`: the model's own limit, 0 where it has none. `predicted`: from experience, 0 where
// there is none.
Duration ExecutionBudget(Duration configured, Duration predicted);

}  // namespace tandem
