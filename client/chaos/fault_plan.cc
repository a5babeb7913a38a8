#include "client/chaos/fault_plan.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace tandem::client {
namespace {

// From 0 up to 1. The standard's distributions may differ between libraries, its engines may not.
double Unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

void Shuffle(std::vector<FaultKind>& kinds, std::mt19937_64& random) {
  for (size_t left = kinds.size(); left > 1; --left)
    std::swap(kinds[left - 1], kinds[random() % left]);
}

}  // namespace

const char* Name(FaultKind kind) {
  switch (kind) {
    case FaultKind::kKill:
      return "kill";
    case FaultKind::kSegv:
      return "segv";
    case FaultKind::kStop:
      return "stop";
    case FaultKind::kHang:
      return "hang";
    case FaultKind::kGarbage:
      return "garbage";
    case FaultKind::kPoison:
      return "poison";
  }
  return "";
}

absl::StatusOr<std::vector<FaultKind>> ParseFaultKinds(absl::string_view text) {
  std::vector<FaultKind> kinds;
  for (const absl::string_view word : absl::StrSplit(text, ',')) {
    const auto* const kind = std::find_if(std::begin(kAllFaults), std::end(kAllFaults),
                                          [word](FaultKind each) { return Name(each) == word; });
    if (kind == std::end(kAllFaults)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--faults ", text, ": \"", word, "\" is no fault; expected some of ",
          absl::StrJoin(kAllFaults, ",",
                        [](std::string* out, FaultKind each) { out->append(Name(each)); })));
    }
    if (std::find(kinds.begin(), kinds.end(), *kind) == kinds.end()) kinds.push_back(*kind);
  }
  return kinds;
}

std::vector<Fault> PlanFaults(const FaultPlanOptions& options) {
  std::mt19937_64 random(options.seed);
  std::vector<Fault> plan;
  std::vector<FaultKind> round = options.kinds;
  size_t next = round.size();
  double at = 0;
  const double length = std::chrono::duration<double>(options.length).count();
  while (true) {
    at += (0.5 + Unit(random)) / options.rate;
    if (at >= length) return plan;
    if (next == round.size()) {
      Shuffle(round, random);
      next = 0;
    }
    const std::chrono::nanoseconds when(static_cast<int64_t>(at * 1e9));
    const FaultKind kind = round[next++];
    plan.push_back({when, kind, random()});
  }
}

}  // namespace tandem::client
