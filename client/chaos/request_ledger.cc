#include "client/chaos/request_ledger.h"

namespace tandem::client {

uint64_t LedgerTotals::error_count() const {
  uint64_t count = 0;
  for (const auto& [code, errors_of_code] : errors) count += errors_of_code;
  return count;
}

uint64_t RequestLedger::Send(ChaosPhase phase) {
  entries_.push_back({phase});
  ++open_;
  return entries_.size() - 1;
}

void RequestLedger::OnRight(uint64_t number, std::chrono::nanoseconds latency) {
  if (!Close(number)) return;
  (entries_[number].phase == ChaosPhase::kQuiet ? quiet_ : faults_).Record(latency);
}

void RequestLedger::OnWrong(uint64_t number) {
  if (Close(number)) ++totals_.wrong;
}

void RequestLedger::OnError(uint64_t number, const std::string& code) {
  if (Close(number)) ++totals_.errors[code];
}

bool RequestLedger::IsOpen(uint64_t number) const {
  return number < entries_.size() && !entries_[number].answered;
}

LedgerTotals RequestLedger::Totals() const {
  LedgerTotals totals = totals_;
  totals.requests = entries_.size();
  totals.lost = open_;
  return totals;
}

const LatencyHistogram& RequestLedger::latencies(ChaosPhase phase) const {
  return phase == ChaosPhase::kQuiet ? quiet_ : faults_;
}

bool RequestLedger::Close(uint64_t number) {
  if (number >= entries_.size()) {
    ++totals_.wrong;
    return false;
  }
  if (entries_[number].answered) {
    ++totals_.doubled;
    return false;
  }
  entries_[number].answered = true;
  --open_;
  return true;
}

}  // namespace tandem::client
