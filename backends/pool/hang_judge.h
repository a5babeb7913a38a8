// Whether a batch that has used up its budget hangs, or its worker was kept from the CPUs by what
// else the machine does: time that a thread of it stood ready and got none does not count. A worker
// that is stopped, sleeps or turns in a loop does not wait in that way. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

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

// The lanes whose batches may be what the one that hangs on `lane` waited for, itself among them:
// as for a lock, or for a device. One that ran for less than half as long is not what held it up
// all the time. `ran`: by lane. Empty where `lane` runs nothing any more.
std::set<uint32_t> LanesThatMayHang(const std::map<uint32_t, Duration>& ran, uint32_t lane);

}  // namespace tandem
