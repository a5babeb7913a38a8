#include "core/retry_hint.h"

#include <cstdint>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

constexpr char kPayload[] = "tandem/retry_after_ns";

}  // namespace

absl::Status WithRetryAfter(absl::Status status, Duration after) {
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(after.count())));
  return status;
}

std::optional<Duration> RetryAfter(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  int64_t nanoseconds = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &nanoseconds)) {
    return std::nullopt;
  }
  return Duration(nanoseconds);
}

}  // namespace tandem
