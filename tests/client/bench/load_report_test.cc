#include "client/bench/load_report.h"

#include "absl/strings/match.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::microseconds;

LoadResult Result(int concurrency, double rate, int calls) {
  LoadResult result;
  result.level = {concurrency, rate, false};
  for (int i = 1; i <= calls; ++i) result.latencies.Record(microseconds(i));
  result.calls_per_second = calls;
  return result;
}

TEST_CASE("The JSON of a closed and of an open loop say what was asked", "[bench]") {
  const nlohmann::json closed = ToJson(Result(16, 0, 1000));
  CHECK(closed["concurrency"] == 16);
  CHECK_FALSE(closed.contains("rate"));
  CHECK(closed["calls"] == 1000);
  CHECK(closed["latency_us"]["min"] == 1.0);
  CHECK(closed["latency_us"]["p50"].get<double>() == Approx(500).epsilon(0.008));
  CHECK(closed["latency_us"]["max"] == 1000.0);
  const nlohmann::json open = ToJson(Result(0, 250, 10));
  CHECK(open["rate"] == 250.0);
  CHECK_FALSE(open.contains("concurrency"));
}

TEST_CASE("Where no call counts no latency is told", "[bench]") {
  LoadResult none = Result(0, 250, 0);
  none.unsent = 70;
  const nlohmann::json json = ToJson(none);
  CHECK(json["calls"] == 0);
  CHECK(json["unsent"] == 70);
  CHECK(json["latency_us"].size() == 8);
  for (const nlohmann::json& latency : json["latency_us"]) CHECK(latency.is_null());
  const std::string table = RenderTable({none}, Style(false));
  CHECK(absl::StrContains(table, "UNSENT"));
  CHECK(absl::StrContains(table, " - "));
  CHECK_FALSE(absl::StrContains(table, "0.000"));
  CHECK(absl::StrContains(RenderPlot({none, none}, 4), "p99 - ms"));
}

TEST_CASE("What a row leaves out is told in a sentence", "[bench]") {
  CHECK(Remark(Result(4, 0, 10)).empty());
  CHECK(absl::StrContains(Remark(Result(4, 0, 0)), "4 at a time: no call was answered"));
  CHECK(absl::StrContains(Remark(Result(0, 2, 0)), "2/s: no call was due"));
  LoadResult partly = Result(0, 250, 10);
  partly.unsent = 70;
  CHECK(absl::StrContains(Remark(partly), "250/s: 70 calls"));
  LoadResult failed = Result(4, 0, 0);
  failed.failures = 3;
  CHECK(absl::StrContains(Remark(failed), "3 failed"));
}

TEST_CASE("The table has a row for each level", "[bench]") {
  const std::string table = RenderTable({Result(1, 0, 10), Result(16, 0, 20)}, Style(false));
  CHECK(absl::StrContains(table, "CALLS AT A TIME"));
  CHECK(absl::StrContains(table, "20.0"));
  CHECK(absl::StrContains(table, "0.010"));
  CHECK(absl::StrContains(RenderTable({Result(0, 12.5, 10)}, Style(false)), "RATE"));
  CHECK(absl::StrContains(RenderTable({Result(0, 12.5, 10)}, Style(false)), "12.5/s"));
}

TEST_CASE("The plot of one level shows all of its calls", "[bench]") {
  LoadResult result = Result(1, 0, 990);
  for (int i = 0; i < 10; ++i) result.latencies.Record(std::chrono::seconds(1));
  const std::string plot = RenderPlot({result}, 20);
  CHECK(absl::StrContains(plot, "to 0.99"));
  CHECK_FALSE(absl::StrContains(plot, "to 1.00 ms"));
  CHECK(absl::StrContains(plot, "to 1000 ms"));
  CHECK(absl::StrContains(plot, " 1.0 %"));
  CHECK(RenderPlot({LoadResult()}, 20).empty());
  // All calls alike: one row.
  LoadResult same;
  for (int i = 0; i < 5; ++i) same.latencies.Record(microseconds(7));
  CHECK(absl::StrContains(RenderPlot({same}, 4), "████ 100.0 %"));
}

TEST_CASE("The plot of several levels scales to the highest rate", "[bench]") {
  const std::string plot = RenderPlot({Result(1, 0, 50), Result(8, 0, 100)}, 4);
  CHECK(absl::StrContains(plot, "1 ██ 50/s"));
  CHECK(absl::StrContains(plot, "8 ████ 100/s"));
}

}  // namespace
}  // namespace tandem::client
