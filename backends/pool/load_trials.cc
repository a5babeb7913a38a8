#include "backends/pool/load_trials.h"

#include <algorithm>

namespace tandem {

void LoadTrials::Remove(uint32_t model) { changed_ |= records_.erase(model) > 0; }

bool LoadTrials::MayLoad(uint32_t worker, uint32_t model) {
  Record* const record = Find(model);
  if (record == nullptr || record->left_out()) return false;
  if (!record->needs_trial()) return true;
  if (record->trier.has_value() && record->trier != worker) return false;
  const bool is_any_on_trial = std::any_of(records_.begin(), records_.end(), [](const auto& each) {
    return each.second.trier.has_value() && !each.second.is_slow;
  });
  const bool is_another_away = away_.size() > away_.count(worker);
  if (!record->trier.has_value() && (is_any_on_trial || is_another_away)) return false;
  // From here on the trial keeps the others back.
  record->trier = worker;
  SetAway(worker, false);
  return true;
}

int LoadTrials::Rank(uint32_t worker, uint32_t model) const {
  const Record* const record = Find(model);
  if (record == nullptr) return 0;
  if (record->crashes > 0 && record->trier.value_or(worker) == worker) {
    return record->was_too_much ? kMostSignals : -1;
  }
  return record->signals;
}

bool LoadTrials::IsLeftOut(uint32_t model) const {
  const Record* const record = Find(model);
  return record != nullptr && record->left_out();
}

void LoadTrials::OnSlow(uint32_t model) {
  Record* const record = Find(model);
  if (record == nullptr) return;
  record->is_slow = true;
  changed_ = true;
}

void LoadTrials::Survived(uint32_t model) {
  Record* const record = Find(model);
  if (record == nullptr) return;
  *record = Record();
  record->survived = true;
  changed_ = true;
}

void LoadTrials::Died(uint32_t worker, uint32_t model, TimePoint now, LoadDeath death,
                      std::string why) {
  Record* const record = Find(model);
  // Where another worker tries it since its own death, that trial decides.
  if (record == nullptr || record->left_out() || record->trier.value_or(worker) != worker) return;
  ++(death == LoadDeath::kSignal ? record->signals : record->crashes);
  record->took_too_long = death == LoadDeath::kTooLong;
  record->was_too_much = record->was_too_much || death == LoadDeath::kMemory;
  record->why = std::move(why);
  record->is_slow = false;
  if (record->needs_trial()) record->trier = worker;
  if (record->left_out()) {
    record->left_out_since = now;
    record->trier.reset();
  }
  changed_ = true;
}

std::string LoadTrials::WhyLeftOut(uint32_t model) const {
  const Record* const record = Find(model);
  return record == nullptr ? "" : record->why;
}

void LoadTrials::GiveChances(TimePoint now) {
  for (auto& [model, record] : records_) {
    const Duration wait = kFirstChance * (1 << std::min(record.chances, kMostDoublings));
    if (!record.left_out() || record.took_too_long || now - record.left_out_since < wait) continue;
    ++record.chances;
    // One more of the same is enough. After signals it is loaded after the others, as before.
    (record.signals >= kMostSignals ? record.signals : record.crashes) -= 1;
    changed_ = true;
  }
}

void LoadTrials::SetAway(uint32_t worker, bool away) {
  if (away) {
    away_.insert(worker);
  } else if (away_.erase(worker) > 0) {
    changed_ = true;
  }
}

const LoadTrials::Record* LoadTrials::Find(uint32_t model) const {
  const auto found = records_.find(model);
  return found == records_.end() ? nullptr : &found->second;
}

LoadTrials::Record* LoadTrials::Find(uint32_t model) {
  const auto found = records_.find(model);
  return found == records_.end() ? nullptr : &found->second;
}

}  // namespace tandem
