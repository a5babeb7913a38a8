#include "router/response_merger.h"

#include "tests/router/requests.h"
#include "tests/support/catch.h"

namespace tandem {
namespace {

InferResponse Answer(absl::Status status = absl::OkStatus(), std::string model = "m") {
  InferResponse response;
  response.status = std::move(status);
  response.model = std::move(model);
  return response;
}

TEST_CASE("A merger is complete when all calls are answered, in any order", "[merger]") {
  ResponseMerger merger({"a", "b"}, MergePolicy::kAll);
  CHECK(merger.Add(1, Answer({}, "second")));
  CHECK_FALSE(merger.complete());
  CHECK(merger.answered(1));
  CHECK_FALSE(merger.answered(0));
  CHECK(merger.Add(0, Answer({}, "first")));
  CHECK(merger.complete());
  CHECK(merger.status().ok());
  const auto results = std::move(merger).Take();
  REQUIRE(results.size() == 2);
  CHECK(results[0].key == "a");
  CHECK(results[0].response.model == "first");
  CHECK(results[1].response.model == "second");
}

TEST_CASE("Under ALL the first failure completes the whole and names the call", "[merger]") {
  ResponseMerger merger({"a", "b", "c"}, MergePolicy::kAll);
  CHECK(merger.Add(0, Answer()));
  CHECK(merger.Add(2, Answer(absl::UnavailableError("no worker"))));
  CHECK(merger.complete());
  CHECK(merger.status() == absl::UnavailableError("call \"c\" failed: no worker"));
  CHECK_FALSE(merger.Add(1, Answer()));
  const auto results = std::move(merger).Take();
  CHECK(results[0].response.status.ok());
  CHECK(results[1].response.status.code() == absl::StatusCode::kCancelled);
}

TEST_CASE("Under PARTIAL a failure is one result among others", "[merger]") {
  ResponseMerger merger({"a", "b"}, MergePolicy::kPartial);
  CHECK(merger.Add(0, Answer(absl::InternalError("broken"))));
  CHECK_FALSE(merger.complete());
  CHECK(merger.Add(1, Answer()));
  CHECK(merger.complete());
  CHECK(merger.status().ok());
  CHECK(merger.result(0).response.status.code() == absl::StatusCode::kInternal);
}

TEST_CASE("At the deadline calls without answer fail", "[merger]") {
  const bool all = GENERATE(true, false);
  ResponseMerger merger({"a", "b"}, all ? MergePolicy::kAll : MergePolicy::kPartial,
                        kStart + milliseconds(1));
  merger.Add(0, Answer());
  CHECK_FALSE(merger.Expire(kStart));
  CHECK(merger.Expire(kStart + milliseconds(1)));
  CHECK(merger.complete());
  CHECK(merger.status().ok() != all);
  CHECK_FALSE(merger.Add(1, Answer()));
  CHECK_FALSE(merger.Expire(kStart + milliseconds(2)));
  const auto results = std::move(merger).Take();
  CHECK(results[0].response.status.ok());
  CHECK(results[1].response.status.code() == absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("A call counts once", "[merger]") {
  ResponseMerger merger({"a", "b"}, MergePolicy::kPartial);
  CHECK(merger.Add(0, Answer({}, "first")));
  CHECK_FALSE(merger.Add(0, Answer({}, "again")));
  CHECK_FALSE(merger.complete());
  CHECK(merger.result(0).response.model == "first");
}

TEST_CASE("Nothing to wait for is complete", "[merger]") {
  CHECK(ResponseMerger({}, MergePolicy::kAll).complete());
}

}  // namespace
}  // namespace tandem
