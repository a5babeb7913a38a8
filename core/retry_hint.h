// When another try makes sense, as part of a status: for failures that pass by themselves, such as
// a full queue. Free functions, thread-safe.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "core/clock.h"

namespace tandem {

// The status, with that hint. `after`: 0 or more.
absl::Status WithRetryAfter(absl::Status status, Duration after);

// Nothing where the status has no hint: another try would fail too, or nobody knows.
std::optional<Duration> RetryAfter(const absl::Status& status);

}  // namespace tandem
