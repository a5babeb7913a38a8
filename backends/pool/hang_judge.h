// Whether a batch that has used up its budget hangs, or its worker was kept from the CPUs by what
// else the machine does: time that a thread of it stood ready and got none does not count. A worker
// that is stopped, sleeps or turns in a loop does not wait in that way. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "backends/pool/cpu_waits.h"
#include "core/backend.h"
#include "core/clock.h"

namespace tandem {

class HangJudge {
 public:
  // However long it waited, a batch that has run for so many times its budget hangs.
  static constexpr int kMostBudgets = 4;

  enum class Verdict {
    // There is nothing to compare with yet: ask again.
    kUnknown,
    kHangs,
    kWaits,
  };

  // The batch that the lane runs is watched from now on. `waits` of its worker, as all here.
  void Watch(uint32_t lane, uint64_t batch, TimePoint now, std::optional<CpuWaits> waits);

  // Watches it where nobody did.
  Verdict Judge(uint32_t lane, uint64_t batch, TimePoint now, const std::optional<CpuWaits>& waits,
                const Overrun& overrun);

 private:
  struct Watched {
    uint64_t batch = 0;
    TimePoint since{};
    CpuWaits waits;
  };
  // By lane.
  std::map<uint32_t, Watched> watched_;
};

}  // namespace tandem
