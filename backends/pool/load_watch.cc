#include "backends/pool/load_watch.h"

#include <algorithm>

namespace tandem {

void LoadWatch::Begin(TimePoint now) {
  End();
  if (limit_ > Duration(0)) deadline_ = now + limit_;
  slow_at_ = now + kSlow;
}

void LoadWatch::End() { deadline_ = unwanted_deadline_ = slow_at_ = kNever; }

void LoadWatch::OnUnwanted(TimePoint now) {
  unwanted_deadline_ = now + kUnwantedGrace;
  slow_at_ = kNever;
}

LoadWatch::Verdict LoadWatch::Judge(TimePoint now) const {
  if (now >= unwanted_deadline_) return Verdict::kUnwanted;
  return now >= deadline_ ? Verdict::kTooLong : Verdict::kFine;
}

bool LoadWatch::TakeSlow(TimePoint now) {
  if (now < slow_at_) return false;
  slow_at_ = kNever;
  return true;
}

TimePoint LoadWatch::next() const { return std::min({deadline_, unwanted_deadline_, slow_at_}); }

}  // namespace tandem
