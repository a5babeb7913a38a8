#include "core/retry_hint.h"

#include <string>

#include "tests/support/catch.h"

namespace tandem {
namespace {

TEST_CASE("A status keeps code and text when it is given a time to retry", "[retry_hint]") {
  const absl::Status full =
      WithRetryAfter(absl::ResourceExhaustedError("the queue is full"), std::chrono::seconds(2));
  CHECK(absl::IsResourceExhausted(full));
  CHECK(std::string(full.message()) == "the queue is full");
  CHECK(RetryAfter(full) == Duration(std::chrono::seconds(2)));
}

TEST_CASE("A status without a hint says nothing of a retry", "[retry_hint]") {
  CHECK_FALSE(RetryAfter(absl::ResourceExhaustedError("it is too large")).has_value());
  CHECK_FALSE(RetryAfter(absl::OkStatus()).has_value());
}

}  // namespace
}  // namespace tandem
