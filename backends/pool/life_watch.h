// What one life of a worker is held to: it says hello in time, gives signs of life, is not stopped
// where nobody would notice, stays within its memory, and ends when that is due. Pure but for the
// readings; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "backends/pool/heartbeat.h"
#include "backends/pool/memory_watch.h"
#include "core/clock.h"

namespace tandem {

class LifeWatch {
 public:
  // A worker that says nothing for so long after its start is killed.
  static constexpr Duration kHelloLimit = std::chrono::seconds(60);
  // Between two looks at a worker that starts or loads; stopped at both, it is ended. Pings do not
  // tell it then.
  static constexpr Duration kStopLook = std::chrono::seconds(1);

  // What is asked of the process, each when it is time to.
  struct Readings {
    std::function<bool()> is_stopped;
    // Bytes.
    std::function<uint64_t()> own_memory;
  };

  // The process has been started. `memory_limit` as in MemoryWatch.
  LifeWatch(TimePoint now, uint64_t memory_limit, Readings readings);

  void OnHello(TimePoint now);
  void OnPong(uint64_t sequence);
  // It is to end by then; `otherwise` is why it is killed if it does not. The last one holds.
  void EndBy(TimePoint limit, std::string otherwise);

  // Why the process is to be killed; empty where it need not be. `is_loading`: a load is under way.
  std::string Judge(TimePoint now, bool is_loading);
  // As Judge, of its memory alone, and at once.
  std::string JudgeMemory();
  // The number of the ping to send now, if one is due.
  std::optional<uint64_t> PingDue(TimePoint now);
  // When to judge it, or to ask for a ping, though nothing has happened.
  TimePoint next(bool is_loading) const;

  // A signal has stopped it, as at this moment.
  bool is_stopped() const { return readings_.is_stopped(); }
  // It was when last looked at.
  bool was_stopped() const { return was_stopped_; }
  // As MemoryWatch::Judge, when last looked at.
  const std::string& excess() const { return excess_; }

 private:
  bool IsBusyWithItself(bool is_loading) const;
  bool IsKeptStopped(TimePoint now, bool is_loading);

  const Readings readings_;
  MemoryWatch memory_;
  std::string excess_;
  TimePoint hello_limit_;
  TimePoint next_stop_look_;
  bool was_stopped_ = false;
  TimePoint end_limit_ = kNever;
  std::string end_reason_;
  // From the hello on.
  std::optional<Heartbeat> heartbeat_;
};

}  // namespace tandem
