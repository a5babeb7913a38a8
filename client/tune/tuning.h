// Which settings are tried, which one is chosen, and why. Pure functions, thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/text_table.h"
#include "client/tune/tuned_config.h"

namespace tandem::client {

// What one setting did under the load.
struct TuneTrial {
  TuneSetting setting;
  double calls_per_second = 0;
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p99{0};
  // Why it does not count; empty where it does.
  std::string failure;
};

// Calls a second of one setting that are as good as those of another.
inline constexpr double kAsGood = 0.97;

// All of the cores in four ways at most, from one thread in each of many lanes to all threads in
// one, and one thread in one lane, each with each of the batch sizes.
std::vector<TuneSetting> DefaultSettings(uint32_t cores, const std::vector<uint32_t>& batches);

// 1, a half of `most` and `most`: how many rows are worth while to join. 0: the model has no batch
// dimension, and that is the one size.
std::vector<uint32_t> DefaultBatches(uint32_t most);

// The index of the setting to take: the most calls a second; among those as good as that, the least
// p99; among equal ones the fewest cores, then the smallest batch. Nothing where all have failed.
std::optional<size_t> ChooseSetting(absl::Span<const TuneTrial> trials);

// The rule in words.
std::string RuleText();

// One line for each trial, with the reason why it was chosen or not.
std::string RenderTrials(absl::Span<const TuneTrial> trials, const Style& style);

}  // namespace tandem::client
