#include "backends/pool/life_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem {

LifeWatch::LifeWatch(TimePoint now, uint64_t memory_limit, Readings readings)
    : readings_(std::move(readings)),
      memory_(memory_limit),
      hello_limit_(now + kHelloLimit),
      next_stop_look_(now + kStopLook) {}

void LifeWatch::OnHello(TimePoint now) {
  hello_limit_ = kNever;
  heartbeat_.emplace(now);
}

void LifeWatch::OnPong(uint64_t sequence) {
  if (heartbeat_.has_value()) heartbeat_->OnPong(sequence);
}

void LifeWatch::EndBy(TimePoint limit, std::string otherwise) {
  end_limit_ = limit;
  end_reason_ = std::move(otherwise);
}

std::string LifeWatch::Judge(TimePoint now, bool is_loading) {
  if (now >= end_limit_) return end_reason_;
  if (now >= hello_limit_) return "it did not say hello in time";
  if (IsKeptStopped(now, is_loading)) return "it was stopped while it started or loaded a model";
  if (memory_.IsDue(now)) {
    std::string excess = JudgeMemory();
    if (!excess.empty()) return excess;
  }
  // A load may keep everything else of a worker waiting; it has a limit of its own.
  const bool is_lost = heartbeat_.has_value() && heartbeat_->IsLost(now);
  return is_lost && !is_loading ? "it gave no sign of life" : "";
}

std::string LifeWatch::JudgeMemory() {
  excess_ = memory_.Judge(readings_.own_memory());
  return excess_.empty() ? "" : absl::StrCat("it took ", excess_);
}

std::optional<uint64_t> LifeWatch::PingDue(TimePoint now) {
  return heartbeat_.has_value() ? heartbeat_->Due(now) : std::nullopt;
}

TimePoint LifeWatch::next(bool is_loading) const {
  TimePoint next = std::min({end_limit_, hello_limit_, memory_.next()});
  if (heartbeat_.has_value()) next = std::min(next, heartbeat_->next());
  if (IsBusyWithItself(is_loading)) next = std::min(next, next_stop_look_);
  return next;
}

bool LifeWatch::IsBusyWithItself(bool is_loading) const {
  return !heartbeat_.has_value() || is_loading;
}

bool LifeWatch::IsKeptStopped(TimePoint now, bool is_loading) {
  if (now < next_stop_look_) return false;
  next_stop_look_ = now + kStopLook;
  const bool is_stopped = IsBusyWithItself(is_loading) && readings_.is_stopped();
  return std::exchange(was_stopped_, is_stopped) && is_stopped;
}

}  // namespace tandem
