#include "client/chaos/chaos_result.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

ChaosResult GoodResult() {
  ChaosResult result;
  result.seed = 7;
  result.planned = 2;
  result.faults[static_cast<size_t>(FaultKind::kKill)] = 1;
  result.faults[static_cast<size_t>(FaultKind::kPoison)] = 1;
  result.load.requests = 1000;
  result.load.errors["UNAVAILABLE"] = 2;
  result.poisons.requests = 1;
  result.poisons.errors["INTERNAL"] = 1;
  result.quiet.Record(milliseconds(3));
  result.among_faults.Record(milliseconds(8));
  result.worker_restarts = 2;
  result.deaths = {{FaultKind::kKill, microseconds(1500), microseconds(2500), milliseconds(200)},
                   {FaultKind::kPoison, std::nullopt, std::nullopt, milliseconds(100)},
                   {FaultKind::kPoison, std::nullopt, std::nullopt, std::nullopt}};
  result.growth = Footprint{1000, 0, 0};
  result.recovered = true;
  return result;
}

TEST_CASE("The report has the figures by their names", "[chaos]") {
  const nlohmann::json report = ToJson(GoodResult());
  CHECK(report["requests"] == 1001);
  CHECK(report["faults"] == 2);
  CHECK(report["lost"] == 0);
  CHECK(report["wrong"] == 0);
  CHECK(report["doubled"] == 0);
  CHECK(report["errors"] == nlohmann::json{{"UNAVAILABLE", 2}});
  CHECK(report["fault_request_errors"] == nlohmann::json{{"INTERNAL", 1}});
  CHECK(report["parent_deaths"] == 0);
  CHECK(report["worker_deaths"] == 3);
  CHECK(report["detect_ms_p99"] == 1.5);
  CHECK(report["detect_after_signal_ms_p99"] == 2.5);
  CHECK(report["recover_ms_p99"] == 200.0);
  CHECK(report["p99_ms"] == 8.0);
  CHECK(report["p99_ms_quiet"] == 3.0);
  CHECK(report["parent_rss_growth_bytes"] == 1000);
  CHECK(report["parent_fd_growth"] == 0);
  CHECK(report["parent_thread_growth"] == 0);
  CHECK(report["faults_by_kind"]["poison"]["worker_deaths"] == 2);
  CHECK(report["faults_by_kind"]["poison"]["detect_ms_p99"].is_null());
  CHECK(!report["faults_by_kind"].contains("stop"));
  CHECK(report["passed"] == true);
}

TEST_CASE("What could not be seen is null", "[chaos]") {
  ChaosResult result = GoodResult();
  result.deaths.reset();
  result.growth.reset();
  const nlohmann::json report = ToJson(result);
  CHECK(report["detect_ms_p99"].is_null());
  CHECK(report["recover_ms_p99"].is_null());
  CHECK(report["worker_deaths"] == 2);
  CHECK(report["faults_by_kind"]["kill"]["worker_deaths"].is_null());
  CHECK(report["parent_rss_growth_bytes"].is_null());
  CHECK(Passed(result));
}

TEST_CASE("A run passes only where nothing was lost, wrong or doubled and the server is well",
          "[chaos]") {
  CHECK(Passed(GoodResult()));
  struct Case {
    std::string words;
    std::function<void(ChaosResult&)> change;
  };
  const Case cases[] = {
      {"1 requests had no answer", [](ChaosResult& result) { result.load.lost = 1; }},
      {"1 requests had no answer", [](ChaosResult& result) { result.poisons.lost = 1; }},
      {"2 answers were wrong", [](ChaosResult& result) { result.load.wrong = 2; }},
      {"1 answers were wrong", [](ChaosResult& result) { result.poisons.wrong = 1; }},
      {"3 answers came twice", [](ChaosResult& result) { result.load.doubled = 3; }},
      {"1 times the server died", [](ChaosResult& result) { result.parent_deaths = 1; }},
      {"holds more than before",
       [](ChaosResult& result) { result.growth->resident_bytes = kMostResidentGrowth + 1; }},
      {"holds more than before", [](ChaosResult& result) { result.growth->descriptors = 1; }},
      {"holds more than before", [](ChaosResult& result) { result.growth->threads = 1; }},
      {"not every worker came back", [](ChaosResult& result) { result.recovered = false; }}};
  for (const Case& each : cases) {
    INFO(each.words);
    ChaosResult result = GoodResult();
    each.change(result);
    CHECK(!Passed(result));
    CHECK(ToJson(result)["passed"] == false);
    CHECK(Render(result, Style(false)).find("FAILED: ") != std::string::npos);
    CHECK(Render(result, Style(false)).find(each.words) != std::string::npos);
  }
}

TEST_CASE("A server may hold less than before, and up to 10 MB more of memory", "[chaos]") {
  ChaosResult result = GoodResult();
  result.growth = Footprint{kMostResidentGrowth, -1, -1};
  CHECK(Passed(result));
}

// The words of the table's line that begins so.
std::vector<std::string> LineOf(const std::string& text, const std::string& begin) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, begin)) return absl::StrSplit(line, ' ', absl::SkipEmpty());
  }
  return {};
}

TEST_CASE("The deaths in the table add up to the total", "[chaos]") {
  ChaosResult result = GoodResult();
  result.deaths->push_back({std::nullopt, std::nullopt, std::nullopt, std::nullopt});
  const std::string text = Render(result, Style(false));
  CHECK(LineOf(text, "kill").at(2) == "1");
  CHECK(LineOf(text, "poison").at(2) == "2");
  CHECK(LineOf(text, "(no fault)").at(3) == "1");
  CHECK(LineOf(text, "all").at(2) == "4");
  CHECK(text.find("0 of the server, 4 of workers") != std::string::npos);
  CHECK(ToJson(result)["worker_deaths"] == 4);
}

TEST_CASE("Without a log the table does not tell what workers died of", "[chaos]") {
  ChaosResult result = GoodResult();
  result.deaths.reset();
  const std::string text = Render(result, Style(false));
  CHECK(LineOf(text, "kill").at(2) == "-");
  CHECK(LineOf(text, "all").at(2) == "2");
  CHECK(text.find("0 of the server, 2 of workers") != std::string::npos);
}

TEST_CASE("Errors do not fail a run, and are shown with their part", "[chaos]") {
  const std::string text = Render(GoodResult(), Style(false));
  CHECK(text.find("Errors: 2 UNAVAILABLE (0.2000 %)") != std::string::npos);
  CHECK(text.find("FAILED") == std::string::npos);
}

}  // namespace
}  // namespace tandem::client
