// Which faults a chaos run causes, and when: all of it follows from the seed. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tandem::client {

enum class FaultKind {
  // A signal to a worker: SIGKILL, SIGSEGV, SIGSTOP.
  kKill,
  kSegv,
  kStop,
  // A request that hangs its worker, has it break the protocol, or crashes it.
  kHang,
  kGarbage,
  kPoison,
};

inline constexpr FaultKind kAllFaults[] = {FaultKind::kKill,    FaultKind::kSegv,
                                           FaultKind::kStop,    FaultKind::kHang,
                                           FaultKind::kGarbage, FaultKind::kPoison};

// "kill", "segv", …
const char* Name(FaultKind kind);

// "kill,hang" → the kinds. INVALID_ARGUMENT names the word and the choices.
absl::StatusOr<std::vector<FaultKind>> ParseFaultKinds(absl::string_view text);

struct Fault {
  // Since the faults began.
  std::chrono::nanoseconds at;
  FaultKind kind;
  // Chooses among the workers that live then.
  uint64_t draw;
};

struct FaultPlanOptions {
  uint64_t seed = 1;
  // At least one.
  std::vector<FaultKind> kinds;
  // Faults a second, above 0.
  double rate = 1;
  std::chrono::nanoseconds length{0};
};

// In the order of time, the same on every machine. The gaps lie between half and one and a half of
// the mean. Each kind comes once before any comes again. A longer plan begins with the shorter one.
std::vector<Fault> PlanFaults(const FaultPlanOptions& options);

}  // namespace tandem::client
