#include "client/bench/load_levels.h"

#include "absl/strings/match.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using Levels = std::vector<double>;

TEST_CASE("Levels are one, a list, a doubled range or one in steps", "[bench]") {
  CHECK(*ParseLevels("--rate", "0.5") == Levels{0.5});
  CHECK(*ParseLevels("--rate", "1,4,16") == Levels{1, 4, 16});
  CHECK(*ParseLevels("--rate", "1:64") == Levels{1, 2, 4, 8, 16, 32, 64});
  CHECK(*ParseLevels("--rate", "1:48") == Levels{1, 2, 4, 8, 16, 32, 48});
  CHECK(*ParseLevels("--rate", "10:30:10") == Levels{10, 20, 30});
  CHECK(*ParseLevels("--rate", "10:35:10") == Levels{10, 20, 30, 35});
  CHECK(*ParseLevels("--rate", "8:8") == Levels{8});
}

TEST_CASE("What is no level is refused with the option and what was expected", "[bench]") {
  for (const char* text :
       {"", "0", "-1", "x", "1,", "1:", "4:1", "1:2:3:4", "1:2:0", "nan", "inf", "1:1e9:1"}) {
    INFO(text);
    const auto levels = ParseLevels("--concurrency", text);
    REQUIRE(absl::IsInvalidArgument(levels.status()));
    CHECK(absl::StartsWith(std::string(levels.status().message()), "--concurrency"));
  }
}

}  // namespace
}  // namespace tandem::client
