#include "client/tune/tuning.h"

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::milliseconds;

TuneTrial Trial(const TuneSetting& setting, double calls_per_second, milliseconds p99) {
  TuneTrial trial;
  trial.setting = setting;
  trial.calls_per_second = calls_per_second;
  trial.p50 = p99 / 2;
  trial.p99 = p99;
  return trial;
}

TuneTrial Failed(const TuneSetting& setting, std::string why) {
  TuneTrial trial;
  trial.setting = setting;
  trial.failure = std::move(why);
  return trial;
}

TEST_CASE("The setting with clearly more calls a second is chosen, whatever its p99", "[tune]") {
  CHECK(ChooseSetting({Trial({1, 1, 1}, 80, milliseconds(10)),
                       Trial({2, 1, 1}, 100, milliseconds(90))}) == 1);
}

TEST_CASE("Among settings that are as good the least p99 is chosen", "[tune]") {
  CHECK(ChooseSetting({Trial({1, 2, 8}, 100, milliseconds(90)),
                       Trial({2, 1, 1}, 98, milliseconds(50))}) == 1);
}

TEST_CASE("Among equal settings the fewest cores are chosen, then the smallest batch", "[tune]") {
  CHECK(ChooseSetting({Trial({2, 2, 1}, 100, milliseconds(50)),
                       Trial({1, 2, 8}, 100, milliseconds(50)),
                       Trial({2, 1, 4}, 100, milliseconds(51))}) == 2);
}

TEST_CASE("What failed is never chosen", "[tune]") {
  CHECK(ChooseSetting({Failed({1, 1, 1}, "no"), Trial({2, 1, 1}, 1, milliseconds(5))}) == 1);
  CHECK_FALSE(ChooseSetting({Failed({1, 1, 1}, "no")}).has_value());
}

TEST_CASE("Each setting is told why it was chosen or not", "[tune]") {
  const std::string table =
      RenderTrials({Trial({2, 1, 1}, 100, milliseconds(50)), Trial({1, 2, 1}, 75, milliseconds(50)),
                    Trial({2, 1, 8}, 99, milliseconds(100)),
                    Trial({2, 2, 1}, 100, milliseconds(50)), Failed({4, 1, 1}, "no memory")},
                   Style(false));
  for (const char* word : {"chosen", "25 % fewer calls/s", "as many calls/s, p99 100 % later",
                           "as good, for more cores", "does not work: no memory"}) {
    INFO(word);
    CHECK(table.find(word) != std::string::npos);
  }
}

TEST_CASE("The settings that are tried use all cores, and are few", "[tune]") {
  using Settings = std::vector<TuneSetting>;
  CHECK(DefaultSettings(2, {1, 8}) ==
        Settings{{2, 1, 1}, {2, 1, 8}, {1, 2, 1}, {1, 2, 8}, {1, 1, 1}, {1, 1, 8}});
  CHECK(DefaultSettings(1, {0}) == Settings{{1, 1, 0}});
  CHECK(DefaultSettings(64, {1}) ==
        Settings{{64, 1, 1}, {32, 2, 1}, {16, 4, 1}, {1, 64, 1}, {1, 1, 1}});
  CHECK(DefaultBatches(0) == std::vector<uint32_t>{0});
  CHECK(DefaultBatches(1) == std::vector<uint32_t>{1});
  CHECK(DefaultBatches(2) == std::vector<uint32_t>{1, 2});
  CHECK(DefaultBatches(16) == std::vector<uint32_t>{1, 8, 16});
}

}  // namespace
}  // namespace tandem::client
