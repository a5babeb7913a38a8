#include "backends/worker/synthetic_model.h"

#include "tests/support/catch.h"

namespace tandem::worker {
namespace {

TEST_CASE("A synthetic model without parameters echoes at once", "[synthetic]") {
  const auto model = ParseSyntheticModel({});
  REQUIRE(model.ok());
  CHECK(model->mode == SyntheticMode::kEcho);
  CHECK(model->alpha.count() == 0);
  CHECK(model->beta.count() == 0);
  CHECK(model->every == 1);
  CHECK_FALSE(model->needs_poison);
}

TEST_CASE("A synthetic model takes its times in microseconds, parts of one included",
          "[synthetic]") {
  const auto model =
      ParseSyntheticModel({{"alpha_us", "150"}, {"beta_us", "0.5"}, {"load_us", "1e3"}});
  REQUIRE(model.ok());
  CHECK(model->alpha == std::chrono::microseconds(150));
  CHECK(model->beta == std::chrono::nanoseconds(500));
  CHECK(model->load_time == std::chrono::milliseconds(1));
}

TEST_CASE("A synthetic model knows its ways to fail by name", "[synthetic]") {
  const auto model = ParseSyntheticModel(
      {{"mode", "bad_shape"}, {"fail_every", "3"}, {"trigger", "poison"}, {"load_mode", "fail"}});
  REQUIRE(model.ok());
  CHECK(model->mode == SyntheticMode::kBadShape);
  CHECK(model->every == 3);
  CHECK(model->needs_poison);
  CHECK(model->load_mode == SyntheticMode::kFail);
}

TEST_CASE("A synthetic model leaves parameters of others alone", "[synthetic]") {
  CHECK(ParseSyntheticModel({{"INFERENCE_MODE", "true"}}).ok());
}

TEST_CASE("A synthetic model's bad parameter is named with its value", "[synthetic]") {
  const auto [name, value] = GENERATE(table<std::string, std::string>({
      {"alpha_us", "soon"},
      {"alpha_us", "-1"},
      {"beta_us", "nan"},
      {"beta_us", "1e30"},
      {"load_us", ""},
      {"mode", "explode"},
      {"load_mode", "nan"},
      {"fail_every", "0"},
      {"fail_every", "2.5"},
      {"trigger", "full moon"},
      {"oom_rows", "0"},
  }));
  CAPTURE(name, value);
  const absl::Status status = ParseSyntheticModel({{name, value}}).status();
  CHECK(absl::IsInvalidArgument(status));
  CHECK(status.message().find(name) != absl::string_view::npos);
  CHECK(status.message().find("\"" + value + "\"") != absl::string_view::npos);
}

}  // namespace
}  // namespace tandem::worker
