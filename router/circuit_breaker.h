// Keeps a model from ending one worker after the other. An offence is a request that was proven to
// end its worker: it ran there by itself, or is what is left when all that ran beside it were tried
// and were well. One in many is an accident, which retries and the
// quarantine cope with. Where most are, nothing but a pause of the whole model protects the others.
// Pure; not thread-safe. The pattern is the circuit breaker of M. Nygard, Release It!
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/clock.h"

namespace tandem {

class CircuitBreaker {
 public:
  // In a row; more where there are successes between them.
  static constexpr int64_t kMostOffences = 4;
  // Answers that make good for one offence.
  static constexpr int64_t kAnswersForOffence = 250;
  // An offence is forgotten after so long without another.
  static constexpr Duration kMemory = std::chrono::minutes(1);
  // The pause: longer each time.
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(30);

  enum class Verdict {
    kRun,
    // The pause is over. This request is to run by itself, and tells whether the model is well.
    kTrial,
    kRefuse,
  };

  Verdict Judge(TimePoint now) {
    if (!is_open_) return Verdict::kRun;
    if (now < paused_until_) return Verdict::kRefuse;
    // One for each pause: it may never run.
    paused_until_ = now + pause_;
    return Verdict::kTrial;
  }

  // True where the model is paused from now on.
  bool OnOffence(TimePoint now) {
    // The trial after a pause tells of the model as it was, however late it came.
    if (!is_open_ && now - last_offence_ >= kMemory) Forget();
    last_offence_ = now;
    credit_ = std::max<int64_t>(0, credit_ - kAnswersForOffence);
    if (credit_ > 0) return false;
    is_open_ = true;
    paused_until_ = now + pause_;
    pause_ = std::min(pause_ * 2, kLongestPause);
    return true;
  }

  // `trial`: it ran by itself. Others may have been started before the offence.
  void OnAnswers(TimePoint now, int64_t requests, bool trial) {
    if (!has_offended()) return;
    if (trial) is_open_ = false;
    credit_ = std::min(credit_ + requests, kFullCredit);
    if (credit_ == kFullCredit || now - last_offence_ >= kMemory) Forget();
  }

  // Lately, so that another offence may come.
  bool has_offended() const { return credit_ < kFullCredit; }
  bool is_open() const { return is_open_; }
  TimePoint paused_until() const { return paused_until_; }

 private:
  static constexpr int64_t kFullCredit = kMostOffences * kAnswersForOffence;

  void Forget() {
    credit_ = kFullCredit;
    pause_ = kFirstPause;
    is_open_ = false;
  }

  int64_t credit_ = kFullCredit;
  bool is_open_ = false;
  Duration pause_ = kFirstPause;
  TimePoint paused_until_{};
  TimePoint last_offence_{};
};

}  // namespace tandem
