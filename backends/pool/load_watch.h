// What the load of one model is held to: it ends in time, and soon once its model is not wanted any
// more. Pure; not thread-safe.
#pragma once

#include "core/clock.h"

namespace tandem {

class LoadWatch {
 public:
  // A load that has gone on for so long is told of.
  static constexpr Duration kSlow = std::chrono::seconds(30);
  // So long it may go on when its model has been removed.
  static constexpr Duration kUnwantedGrace = std::chrono::seconds(1);

  enum class Verdict { kFine, kTooLong, kUnwanted };

  // `limit` of a load. 0: none.
  explicit LoadWatch(Duration limit) : limit_(limit) {}

  Duration limit() const { return limit_; }

  void Begin(TimePoint now);
  void End();
  // The model that loads has been removed.
  void OnUnwanted(TimePoint now);

  // Of the load that is under way. Else kFine.
  Verdict Judge(TimePoint now) const;
  // True, once for each load, where it has become a slow one.
  bool TakeSlow(TimePoint now);
  // When to ask again. kNever: no load is under way, or nothing limits it.
  TimePoint next() const;

 private:
  const Duration limit_;
  TimePoint deadline_ = kNever;
  TimePoint unwanted_deadline_ = kNever;
  TimePoint slow_at_ = kNever;
};

}  // namespace tandem
