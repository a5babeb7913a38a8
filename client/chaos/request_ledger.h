// Keeps account of requests: each is to be answered once, with what belongs to it. Pure; not
// thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/bench/latency_histogram.h"

namespace tandem::client {

// What a request was sent in: before the faults, or among them.
enum class ChaosPhase : uint8_t { kQuiet, kFaults };

struct LedgerTotals {
  uint64_t requests = 0;
  // Never answered.
  uint64_t lost = 0;
  // Answered with something else than what belongs to them; answers that belong to none.
  uint64_t wrong = 0;
  // Answers beyond the first.
  uint64_t doubled = 0;
  // By the name of the status code.
  std::map<std::string, uint64_t> errors;

  uint64_t error_count() const;
};

class RequestLedger {
 public:
  // Returns the request's number: 0, 1, 2, …
  uint64_t Send(ChaosPhase phase);

  // The request's answer came: what belongs to it, something else, or an error.
  void OnRight(uint64_t number, std::chrono::nanoseconds latency);
  void OnWrong(uint64_t number);
  void OnError(uint64_t number, const std::string& code);

  bool IsOpen(uint64_t number) const;
  uint64_t open() const { return open_; }
  uint64_t sent() const { return entries_.size(); }

  // Those that are open count as lost.
  LedgerTotals Totals() const;
  // Of right answers to requests of a phase.
  const LatencyHistogram& latencies(ChaosPhase phase) const;

 private:
  // True where it is the first answer to a request that was sent.
  bool Close(uint64_t number);

  struct Entry {
    ChaosPhase phase;
    bool answered = false;
  };
  std::vector<Entry> entries_;
  uint64_t open_ = 0;
  LedgerTotals totals_;
  LatencyHistogram quiet_;
  LatencyHistogram faults_;
};

}  // namespace tandem::client
