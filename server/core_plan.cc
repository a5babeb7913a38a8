#include "server/core_plan.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tandem::server {

std::vector<int> PlanFrontEnd(const Machine& machine, size_t gpu_pools) {
  // The physical cores in order, each with its threads.
  std::vector<std::vector<int>> physical;
  std::vector<int> numbers;
  for (size_t i = 0; i < machine.cores.size(); ++i) {
    const int number =
        i < machine.physical_cores.size() ? machine.physical_cores[i] : machine.cores[i];
    const auto known = std::find(numbers.begin(), numbers.end(), number);
    const auto place = static_cast<size_t>(known - numbers.begin());
    if (known == numbers.end()) {
      numbers.push_back(number);
      physical.emplace_back();
    }
    physical[place].push_back(machine.cores[i]);
  }
  if (machine.cores.size() < kLeastCoresToSetApart) return {};
  const size_t wanted = std::min(machine.cores.size() / 8 + gpu_pools, machine.cores.size() / 2);
  std::vector<int> chosen;
  for (const std::vector<int>& threads : physical) {
    if (chosen.size() >= wanted) break;
    chosen.insert(chosen.end(), threads.begin(), threads.end());
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::vector<int> OtherCores(const Machine& machine, absl::Span<const int> taken) {
  std::vector<int> left;
  const std::set<int> gone(taken.begin(), taken.end());
  std::copy_if(machine.cores.begin(), machine.cores.end(), std::back_inserter(left),
               [&](int core) { return gone.count(core) == 0; });
  return left.empty() ? machine.cores : left;
}

std::vector<PoolSpec> PlanPools(const Machine& machine, const std::vector<int>& front_end) {
  std::vector<PoolSpec> pools = DefaultPools(machine);
  if (front_end.empty()) return pools;
  for (PoolSpec& pool : pools) {
    if (pool.device != "cpu") {
      pool.cores = front_end;
      continue;
    }
    pool.cores = OtherCores(machine, front_end);
    pool.lanes = std::min(pool.lanes, static_cast<uint32_t>(pool.cores.size()));
  }
  return pools;
}

uint32_t PlanGrpcThreads(const ServeOptions& options) {
  const size_t wanted = options.front_end_cores.empty() ? options.machine_cores.size() / 8
                                                        : options.front_end_cores.size() / 2;
  return static_cast<uint32_t>(std::clamp<size_t>(wanted, 1, 8));
}

std::vector<std::string> MachineTable(const ServeOptions& options) {
  constexpr const char* kRow = "%-14s %-7s %-7s %8s %6s %8s %8s %5s %7s  %s";
  const std::string all = CoresText(options.machine_cores);
  const auto cores_of = [&](const std::vector<int>& cores) {
    return cores.empty() ? all : CoresText(cores);
  };
  std::vector<std::string> rows = {
      absl::StrFormat(kRow, "POOL", "DEVICE", "SERVES", "WORKERS", "LANES", "EXPRESS", "THREADS",
                      "NICE", "NODE", "CORES"),
      absl::StrFormat(kRow, "(front end)", "cpu", "", "", "", "", "", "0", "",
                      cores_of(options.front_end_cores))};
  for (const PoolSpec& pool : options.pools) {
    const std::string node = pool.memory_node.has_value() ? absl::StrCat(*pool.memory_node) : "";
    rows.push_back(absl::StrFormat(
        kRow, pool.name, pool.device, PoolKindName(pool.serves), absl::StrCat(pool.processes),
        absl::StrCat(pool.processes * pool.lanes), absl::StrCat(pool.processes * pool.express),
        absl::StrCat(pool.threads), absl::StrCat(pool.nice), node, cores_of(pool.cores)));
  }
  return rows;
}

std::string CoresText(absl::Span<const int> cores) {
  std::string text;
  for (size_t i = 0; i < cores.size();) {
    size_t last = i;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    absl::StrAppend(&text, text.empty() ? "" : ",", cores[i]);
    if (last > i) absl::StrAppend(&text, "-", cores[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace tandem::server
