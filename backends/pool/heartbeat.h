// When to ask a worker for a sign of life, and when to give it up. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "core/clock.h"

namespace tandem {

class Heartbeat {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(5);
  static constexpr int kMostMissed = 3;

  explicit Heartbeat(TimePoint now) : next_(now + kInterval) {}

  // The number of the ping to send now, if one is due.
  std::optional<uint64_t> Due(TimePoint now);
  void OnPong(uint64_t sequence);

  // True when a ping is due and the last kMostMissed had no answer.
  bool IsLost(TimePoint now) const { return now >= next_ && missed_ >= kMostMissed; }
  TimePoint next() const { return next_; }

 private:
  TimePoint next_;
  uint64_t sequence_ = 0;
  int missed_ = 0;
};

}  // namespace tandem
