#include "client/chaos/request_ledger.h"

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using std::chrono::milliseconds;

TEST_CASE("Requests that are answered once and right leave nothing to tell", "[chaos]") {
  RequestLedger ledger;
  for (uint64_t number = 0; number < 3; ++number) CHECK(ledger.Send(ChaosPhase::kQuiet) == number);
  CHECK(ledger.open() == 3);
  for (const uint64_t number : {2, 0, 1}) ledger.OnRight(number, milliseconds(1));
  const LedgerTotals totals = ledger.Totals();
  CHECK(totals.requests == 3);
  CHECK(totals.lost + totals.wrong + totals.doubled + totals.error_count() == 0);
}

TEST_CASE("A request without an answer is lost", "[chaos]") {
  RequestLedger ledger;
  ledger.Send(ChaosPhase::kQuiet);
  ledger.Send(ChaosPhase::kQuiet);
  ledger.OnRight(0, milliseconds(1));
  CHECK(!ledger.IsOpen(0));
  CHECK(ledger.IsOpen(1));
  CHECK(ledger.Totals().lost == 1);
}

TEST_CASE("An answer beyond the first is doubled, whatever the two say", "[chaos]") {
  RequestLedger ledger;
  for (int i = 0; i < 3; ++i) ledger.Send(ChaosPhase::kFaults);
  ledger.OnRight(0, milliseconds(1));
  ledger.OnRight(0, milliseconds(1));
  ledger.OnError(1, "UNAVAILABLE");
  ledger.OnRight(1, milliseconds(1));
  ledger.OnRight(2, milliseconds(1));
  ledger.OnWrong(2);
  const LedgerTotals totals = ledger.Totals();
  CHECK(totals.doubled == 3);
  CHECK(totals.wrong == 0);
  CHECK(totals.lost == 0);
  CHECK(ledger.latencies(ChaosPhase::kFaults).count() == 2);
}

TEST_CASE("Another content is wrong, and so is an answer to a request that was never sent",
          "[chaos]") {
  RequestLedger ledger;
  ledger.Send(ChaosPhase::kQuiet);
  ledger.OnWrong(0);
  ledger.OnRight(1, milliseconds(1));
  CHECK(ledger.Totals().wrong == 2);
  CHECK(ledger.Totals().requests == 1);
}

TEST_CASE("Errors are counted by code and are neither lost nor wrong", "[chaos]") {
  RequestLedger ledger;
  for (int i = 0; i < 3; ++i) ledger.Send(ChaosPhase::kQuiet);
  ledger.OnError(0, "UNAVAILABLE");
  ledger.OnError(1, "INTERNAL");
  ledger.OnError(2, "UNAVAILABLE");
  const LedgerTotals totals = ledger.Totals();
  CHECK(totals.errors == std::map<std::string, uint64_t>{{"INTERNAL", 1}, {"UNAVAILABLE", 2}});
  CHECK(totals.error_count() == 3);
  CHECK(totals.lost + totals.wrong == 0);
}

TEST_CASE("A latency counts for the phase that its request was sent in", "[chaos]") {
  RequestLedger ledger;
  ledger.Send(ChaosPhase::kQuiet);
  ledger.Send(ChaosPhase::kFaults);
  ledger.OnRight(1, milliseconds(50));
  ledger.OnRight(0, milliseconds(2));
  CHECK(ledger.latencies(ChaosPhase::kQuiet).max() == milliseconds(2));
  CHECK(ledger.latencies(ChaosPhase::kFaults).max() == milliseconds(50));
}

}  // namespace
}  // namespace tandem::client
