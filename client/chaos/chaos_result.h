// What a chaos run found. Values; the verdict and the renderings are pure.
#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "client/bench/latency_histogram.h"
#include "client/chaos/fault_plan.h"
#include "client/chaos/footprint.h"
#include "client/chaos/request_ledger.h"
#include "client/chaos/worker_deaths.h"
#include "client/text_table.h"

namespace tandem::client {

struct ChaosResult {
  uint64_t seed = 0;
  double seconds = 0;
  // Caused, by FaultKind; the rest of the plan found no worker to hit, or no time.
  std::array<uint64_t, std::size(kAllFaults)> faults{};
  uint64_t planned = 0;
  // Of the load, and of the requests that were faults themselves.
  LedgerTotals load;
  LedgerTotals poisons;
  LatencyHistogram quiet;
  LatencyHistogram among_faults;
  uint64_t parent_deaths = 0;
  // As the server counts them.
  uint64_t worker_restarts = 0;
  // As its log tells them; nothing where there is no log.
  std::optional<std::vector<WorkerDeath>> deaths;
  // Of the server until the end: descriptors and threads since the quiet phase, memory since the
  // warm-up. Nothing where it cannot be seen.
  std::optional<Footprint> growth;
  // Every worker was ready and held its models in the end.
  bool recovered = false;
};

// Nothing was lost, wrong or doubled, the server lives, has recovered and does not leak.
bool Passed(const ChaosResult& result);

nlohmann::json ToJson(const ChaosResult& result);

// Tables, and a line for each thing that failed.
std::string Render(const ChaosResult& result, const Style& style);

}  // namespace tandem::client
