#include "backends/pool/heartbeat.h"

namespace tandem {

std::optional<uint64_t> Heartbeat::Due(TimePoint now) {
  if (now < next_) return std::nullopt;
  next_ = now + kInterval;
  ++missed_;
  return ++sequence_;
}

// An answer to an older ping is a sign of life as well.
void Heartbeat::OnPong(uint64_t sequence) {
  if (sequence > 0 && sequence <= sequence_) missed_ = 0;
}

}  // namespace tandem
